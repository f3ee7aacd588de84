// The distribution plane of one worker: answers every request of a distribution route. It reads the
// store and holds views of the channels; whatever signs, writes or takes long is the main thread's,
// which it tells what it wants. What is in memory is answered at once, in the call that asks.

import {
  type Clock,
  type Exchange,
  type ExchangeHandler,
  GatewayError,
  type PlaneRoute,
  type RoutePlane,
} from '../core/index.ts';
import type { Log } from '../telemetry/index.ts';
import { BoundedCache } from './bounded-cache.ts';
import type { ChannelView, FromDesk, ToDesk, Wanted } from './channel-view.ts';
import { DevicePosts } from './device-posts.ts';
import { FormBook, type FormsKnown } from './form-book.ts';
import { IndexBook } from './index-book.ts';
import type { ReleaseEntry } from './model.ts';
import { chooseForm, readWishes } from './negotiate.ts';
import { isForEverybody } from './offered-releases.ts';
import { hasCode, refuse, refuseFor } from './refusal.ts';
import { ReportIntake } from './report-intake.ts';
import { type RequestFields, readFields } from './request-fields.ts';
import {
  bodyKey,
  currentResource,
  fileResource,
  manifestResource,
  type PreparedHeaders,
  type Resource,
} from './resource.ts';
import { type ChannelRequest, parseBases, parseResource } from './resource-request.ts';
import { planSending, type SendPlan, sendBytes, sendStream } from './send-form.ts';
import { sendTrustRoot } from './send-trust-root.ts';
import { ServedRoute } from './served-route.ts';
import type { ArtefactReader, Store } from './store.ts';
import { ENCODINGS } from './store-paths.ts';

export interface DelivererDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** For the bytes of files, and as much again for the indexes of releases. */
  readonly memorySizeBytesMax: number;
  /** Posts to the main thread. */
  readonly tell: (message: ToDesk) => void;
}

/** Things a request may wait for, one after the other; more means that they vanish as they come. */
const TURNS_MAX = 16;
/** Files below this are one packet in any form. */
const VARIANT_SIZE_BYTES_MIN = 256;
/** What cannot be made and is remembered. */
const REFUSED_COUNT_MAX = 16_384;
const ALLOW_READING = ['allow', 'GET, HEAD'];
const ALLOW_POST = ['allow', 'POST'];
const NOT_FOUND = 'GW_DIST_NOT_FOUND';
const EMPTY = new Uint8Array(0);

/** What a request waits for before it can be tried again; null: it has been answered. */
type Missing = Promise<void> | null;

export class Deliverer implements RoutePlane {
  readonly #deps: DelivererDeps;
  readonly #forms: FormBook;
  readonly #intake = new ReportIntake();
  readonly #posts: DevicePosts;
  readonly #indexes: IndexBook;
  /** What is not to be wanted again, by bodyKey(). */
  readonly #refused = new BoundedCache<true>(REFUSED_COUNT_MAX);
  #views: ReadonlyMap<string, ChannelView> = new Map();
  /** Rises with the views, so that what routes keep of them is let go. */
  #epoch = 0;

  constructor(deps: DelivererDeps) {
    this.#deps = deps;
    this.#posts = new DevicePosts(deps.clock, this.#intake);
    this.#indexes = new IndexBook(deps.memorySizeBytesMax);
    this.#forms = new FormBook({
      store: deps.store,
      clock: deps.clock,
      memorySizeBytesMax: deps.memorySizeBytesMax,
      onFault: (error) => {
        const known = error instanceof Error ? error : new Error(String(error));
        deps.log.error('a stored artefact cannot be served', { error: known });
      },
    });
  }

  /** Takes what the main thread says. */
  take(message: FromDesk): void {
    switch (message.kind) {
      case 'channels':
        this.#views = new Map(message.views.map((view) => [view.channel, view]));
        this.#epoch += 1;
        this.#refused.clear();
        this.#forms.forgetForms();
        break;
      case 'index':
        this.#indexes.take(message.manifest, message.index);
        break;
      case 'made':
        this.#forms.forget(message.wanted);
        break;
      case 'refused':
        this.#refused.set(bodyKey(message.wanted), true, 1);
        break;
    }
  }

  /** Hands over what has been gathered; to be called each second. */
  report(): void {
    const report = this.#intake.take();
    if (report !== null) this.#deps.tell(report);
  }

  /** The handler of a route. */
  handler(facts: PlaneRoute): ExchangeHandler {
    const route = new ServedRoute(facts);
    return (exchange) => {
      const missing = this.#attempt(exchange, route);
      if (missing !== null) void this.#finish(exchange, route, missing);
    };
  }

  /** Tries again whenever what was missing has come. */
  async #finish(exchange: Exchange, route: ServedRoute, first: Promise<void>): Promise<void> {
    let missing: Missing = first;
    try {
      for (let turn = 0; turn < TURNS_MAX; ++turn) {
        await missing;
        if (exchange.isEnded) return;
        missing = this.#attempt(exchange, route);
        if (missing === null) return;
      }
      missing.catch(() => {});
      throw new GatewayError('GW_DIST_CORRUPT', `${exchange.path} vanishes as it is read`);
    } catch (error) {
      if (!hasCode(error, 'GW_DIST_CORRUPT')) {
        this.#deps.log.error('a resource cannot be served', { error: error as Error });
      }
      if (!exchange.isEnded) refuseFor(exchange, error);
    }
  }

  #attempt(exchange: Exchange, route: ServedRoute): Missing {
    const { method, path } = exchange;
    const isReading = method === 'GET' || method === 'HEAD';
    const known = isReading ? route.resources(this.#epoch).get(path) : undefined;
    if (known !== undefined) return this.#serve(exchange, known);
    const request = parseResource(path, route.prefix);
    if (request === null) {
      refuse(exchange, NOT_FOUND, '');
      return null;
    }
    if (request.kind === 'check' || request.kind === 'outcomes') {
      if (method !== 'POST') refuse(exchange, 'GW_DIST_METHOD', method, ALLOW_POST);
      else this.#posts.take(exchange, request.kind, (channel) => this.#view(route, channel));
      return null;
    }
    if (!isReading) {
      refuse(exchange, 'GW_DIST_METHOD', method, ALLOW_READING);
      return null;
    }
    if (request.kind === 'root')
      return sendTrustRoot(exchange, this.#deps.store.dir, request.version);
    return this.#find(exchange, route, request);
  }

  // --- from an address to a resource ------------------------------------------------------------

  #find(exchange: Exchange, route: ServedRoute, request: ChannelRequest): Missing {
    const view = this.#view(route, request.channel);
    const release = view === undefined ? undefined : this.#releaseOf(view, request);
    if (release === undefined) {
      refuse(exchange, NOT_FOUND, '');
      return null;
    }
    const { channel } = request;
    const { sequence, version } = release;
    if (request.kind === 'manifest') {
      const facts = { channel, sequence, version, content: release.manifest };
      return this.#keep(exchange, route, manifestResource(facts));
    }
    const manifest = release.manifest.sha256;
    const index = this.#indexes.get(manifest);
    if (index === undefined) {
      return this.#indexes.wait(manifest, () => {
        this.#deps.tell({ kind: 'index', channel, manifest });
      });
    }
    const content = request.kind === 'pack' ? index.pack() : index.find(request.path);
    if (content === null) {
      refuse(exchange, NOT_FOUND, '');
      return null;
    }
    const facts = { channel, sequence, version, content };
    if (request.kind === 'file') {
      return this.#keep(exchange, route, fileResource(facts, request.path, request));
    }
    if (request.kind === 'pack') {
      const url = { before: request.before, after: '' };
      return this.#keep(exchange, route, fileResource(facts, 'pack.tar', url, 'pack'));
    }
    // Which release is current changes with the clock, so it is looked up each time.
    return this.#serve(exchange, currentResource(facts, request.path));
  }

  #keep(exchange: Exchange, route: ServedRoute, resource: Resource): Missing {
    route.resources(this.#epoch).set(exchange.path, resource, 1);
    return this.#serve(exchange, resource);
  }

  #releaseOf(view: ChannelView, request: ChannelRequest): ReleaseEntry | undefined {
    switch (request.kind) {
      case 'manifest':
        return view.releases.find(({ manifest }) => manifest.sha256 === request.sha256);
      case 'current': {
        const wallMs = this.#deps.clock.wallMs();
        return view.releases.find((release) => isForEverybody(release, wallMs));
      }
      default:
        return view.releases.find(({ version }) => version === request.version);
    }
  }

  #view(route: ServedRoute, channel: string): ChannelView | undefined {
    return route.serves(channel) ? this.#views.get(channel) : undefined;
  }

  // --- from a resource to bytes -----------------------------------------------------------------

  #serve(exchange: Exchange, resource: Resource): Missing {
    const { sha256, sizeBytes } = resource.content;
    const nowMs = this.#deps.clock.nowMs();
    const forms = this.#forms.forms(sha256, nowMs);
    if (forms === undefined) return this.#forms.loadForms(sha256, sizeBytes);
    const named = parseBases(exchange.query);
    if (named === 'malformed') {
      refuse(exchange, 'GW_DIST_BAD_REQUEST', 'base is no SHA-256 in hex, or too many');
      return null;
    }
    const fields = readFields(exchange.headers);
    if (exchange.query === '') {
      const known = resource.choices.find(forms, fields);
      if (known !== null) {
        if (known.base !== null && exchange.method === 'GET') {
          this.#intake.addBase(resource.channel, known.base);
        }
        return this.#send(exchange, fields, known.prepared, known.sizeBytes);
      }
    }
    const wishes = readWishes(fields);
    const own = wishes.dczWeight > 0 ? wishes.base : null;
    const asked = named?.bases ?? (own === null ? [] : [own]);
    const unknown = asked.find((one) => !forms.deltas.has(one));
    if (unknown !== undefined) return this.#forms.loadDelta(sha256, sizeBytes, unknown);
    const { base, dcz, canBeMade } = this.#lookForDelta(exchange, resource, forms, asked);
    if (named !== null && dcz !== null) {
      const choice = { coding: 'dcz', base, isNamed: true, isPending: false } as const;
      return this.#send(exchange, fields, resource.prepared(choice), dcz);
    }
    if (named !== null && !named.takesWhole) {
      refuse(exchange, 'GW_DIST_NO_DELTA', named.bases.join(', '));
      return null;
    }
    const isPending = this.#wantVariants(resource, forms) || canBeMade;
    const coding = chooseForm(wishes, forms.sizes, dcz);
    const choice =
      coding === 'dcz'
        ? { coding, base, isNamed: false, isPending: false }
        : { coding, base: null, isNamed: false, isPending };
    const size = coding === 'dcz' ? dcz! : forms.sizes[coding]!;
    const prepared = resource.prepared(choice);
    // Who waits for a better form, names bases or has one without a delta is looked at each time.
    if (!isPending && named === null && (own === null || base !== null)) {
      resource.choices.keep(forms, fields, { base, prepared, sizeBytes: size });
    }
    return this.#send(exchange, fields, prepared, size);
  }

  /** The delta from the first base there is one from. What could be a base counts as one that
   *  devices have, and is asked for where there is none yet. */
  #lookForDelta(
    exchange: Exchange,
    resource: Resource,
    forms: FormsKnown,
    bases: readonly string[],
  ): { readonly base: string | null; readonly dcz: number | null; readonly canBeMade: boolean } {
    let canBeMade = false;
    for (const base of bases) {
      const known = forms.deltas.get(base)!;
      const { sizeBytes: dcz, isPossible } = known;
      if (dcz === null && !(isPossible && resource.isCompressible)) continue;
      if (exchange.method === 'GET') this.#intake.addBase(resource.channel, base);
      if (dcz !== null) return { base, dcz, canBeMade };
      const wanted = { kind: 'delta', target: resource.content.sha256, base } as const;
      if (known.isAsked) canBeMade = !this.#isRefused(wanted) || canBeMade;
      else canBeMade = this.#want(wanted) || canBeMade;
      known.isAsked = true;
    }
    return { base: null, dcz: null, canBeMade };
  }

  #send(
    exchange: Exchange,
    fields: Readonly<RequestFields>,
    prepared: PreparedHeaders,
    sizeBytes: number,
  ): Missing {
    const { bodyKey: key, ref } = prepared;
    const bytes = sizeBytes === 0 ? EMPTY : this.#forms.body(key);
    if (bytes !== undefined && !fields.isConditional && exchange.method === 'GET') {
      this.#intake.addResponse(prepared.countKey);
      exchange.respondPrepared(prepared.head, bytes);
      return null;
    }
    const plan = planSending(exchange, prepared, sizeBytes);
    if (plan === null) return null;
    if (bytes !== undefined) {
      this.#intake.addResponse(prepared.countKey);
      sendBytes(exchange, plan, bytes);
      return null;
    }
    if (this.#forms.isKept(sizeBytes)) return this.#forms.loadBody(key, ref, sizeBytes);
    return this.#stream(exchange, plan, prepared, sizeBytes);
  }

  /** Errors: GW_DIST_CORRUPT for the content itself; of another form, the next attempt does
   *  without. */
  async #stream(
    exchange: Exchange,
    plan: SendPlan,
    { ref, countKey }: PreparedHeaders,
    sizeBytes: number,
  ): Promise<void> {
    let reader: ArtefactReader | null;
    try {
      reader = await this.#deps.store.open(ref);
      if (reader !== null && reader.sizeBytes === sizeBytes) {
        await sendStream(exchange, plan, reader);
        this.#intake.addResponse(countKey);
        return;
      }
    } catch (error) {
      this.#forms.fault(ref, error);
      return;
    }
    await reader?.close();
    this.#forms.missed(ref);
  }

  // --- what is to be made -----------------------------------------------------------------------

  /** Whether it can be hoped for. */
  #want(wanted: Wanted): boolean {
    if (this.#isRefused(wanted)) return false;
    this.#deps.tell({ kind: 'want', wanted });
    return true;
  }

  #isRefused(wanted: Wanted): boolean {
    return this.#refused.get(bodyKey(wanted)) !== undefined;
  }

  /** Asks once for the forms that are missing. Whether there is none yet, and one is hoped for. */
  #wantVariants(resource: Resource, forms: FormsKnown): boolean {
    const { sha256, sizeBytes } = resource.content;
    if (!resource.isCompressible || sizeBytes < VARIANT_SIZE_BYTES_MIN) return false;
    if (!forms.isAsked) {
      forms.isAsked = true;
      const missing = ENCODINGS.filter((encoding) => forms.sizes[encoding] === null);
      const wanted = missing.map((encoding) => this.#want({ kind: 'variant', sha256, encoding }));
      forms.isHoped = missing.length === ENCODINGS.length && wanted.includes(true);
    }
    return forms.isHoped;
  }
}
