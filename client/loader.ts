// The loader: opens what is here, asks what is new, brings it, and swaps. The parts do the work;
// here is the order of things.

import type {
  ChannelCheck,
  ChannelUpdate,
  GetOptions,
  Loader,
  LoaderEvents,
  LoaderOptions,
  ReleaseInfo,
  UpdateOptions,
} from './api.ts';
import { anySignal } from './clock.ts';
import { LoaderError, toLoaderError } from './errors.ts';
import { shown } from './fields.ts';
import { mediaTypeOf } from './media-type.ts';
import { type Bytes, PRIORITIES, type ReleaseFile } from './model.ts';
import { type Platform, readOptions } from './options.ts';
import { infoOf, type OpenRelease } from './release.ts';
import { Session } from './session.ts';
import { checkAll, updateAll } from './update.ts';

/** Errors: LOADER_OPTIONS. */
export function openLoader(options: LoaderOptions, platform: Platform): Loader {
  return new ResourceLoader(new Session(readOptions(options, platform)));
}

class ResourceLoader implements Loader {
  readonly #session: Session;
  #starting: Promise<ReleaseInfo[]> | null = null;
  #updating: Promise<unknown> = Promise.resolve();

  constructor(session: Session) {
    this.#session = session;
  }

  start(): Promise<ReleaseInfo[]> {
    this.#starting ??= this.#session.start().then((releases) => releases.map(infoOf));
    return this.#starting;
  }

  async check(options: { readonly signal?: AbortSignal } = {}): Promise<ChannelCheck[]> {
    return await this.#work(options.signal, async (signal) => {
      const { channels } = this.#session.settings;
      const checked = await checkAll(this.#session, channels, signal);
      return [...checked].map(([channel, one]) => {
        const head = 'head' in one ? one.head : null;
        const event: ChannelCheck = {
          channel,
          status: one.status,
          sequence: head?.sequence ?? null,
          version: head?.version ?? null,
          error: one.status === 'failed' ? one.error : null,
        };
        this.#session.notes.emit('checked', event);
        return event;
      });
    });
  }

  /** One after the other: the second finds what the first has brought. */
  async update(options: UpdateOptions = {}): Promise<ChannelUpdate[]> {
    checkChoice('apply', options.apply, ['now', 'next-start']);
    const turn = this.#updating.then(() => {
      return this.#work(options.signal, (signal) => updateAll(this.#session, options, signal));
    });
    this.#updating = turn.catch(() => {});
    return await turn;
  }

  async get(path: string, options: GetOptions = {}): Promise<Bytes> {
    checkChoice('priority', options.priority, PRIORITIES);
    return await this.#work(options.signal, async (signal) => {
      const { release, file } = this.#find(path, options.channel);
      const priority = options.priority ?? 'critical';
      const supplied = await this.#session.supply.file(release, file, { priority, signal });
      return supplied.bytes;
    });
  }

  async getResponse(path: string, options: GetOptions = {}): Promise<Response> {
    const bytes = await this.get(path, options);
    return new Response(bytes, { headers: { 'content-type': mediaTypeOf(path) } });
  }

  async preload(paths: readonly string[], options: GetOptions = {}): Promise<void> {
    await Promise.all(paths.map((path) => this.get(path, { priority: 'normal', ...options })));
  }

  async confirm(): Promise<void> {
    await this.#work(undefined, () => this.#session.confirm());
  }

  release(channel?: string): ReleaseInfo | null {
    const open = this.#session.open.get(channel ?? this.#session.settings.channels[0]!);
    return open === undefined ? null : infoOf(open);
  }

  trail() {
    return this.#session.notes.trail();
  }

  on<K extends keyof LoaderEvents>(type: K, listener: (event: LoaderEvents[K]) => void) {
    return this.#session.notes.on(type, listener);
  }

  async idle(): Promise<void> {
    await this.#session.idle();
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  /** Everything waits for the start, and ends with the loader. */
  async #work<T>(
    given: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    checkSignal(given);
    const { lifetime } = this.#session;
    const closed = (): LoaderError => new LoaderError('LOADER_CLOSED', 'the loader is closed');
    if (lifetime.aborted) throw closed();
    await this.start();
    const { controller, release } = anySignal([given, lifetime]);
    try {
      return await work(controller.signal);
    } catch (error) {
      const known = toLoaderError(error, 'LOADER_UNAVAILABLE');
      throw known.code === 'LOADER_ABORTED' && lifetime.aborted ? closed() : known;
    } finally {
      release();
    }
  }

  #find(
    path: string,
    channel = this.#session.settings.channels[0]!,
  ): {
    readonly release: OpenRelease;
    readonly file: ReleaseFile;
  } {
    const release = this.#session.open.get(channel);
    if (release === undefined) {
      throw new LoaderError('LOADER_NO_RELEASE', `channel ${channel} has no release here yet`);
    }
    const file = release.files.get(path);
    if (file !== undefined) return { release, file };
    const detail = `release ${release.manifest.version} of ${channel} has no file ${path}`;
    throw new LoaderError('LOADER_NOT_FOUND', detail);
  }
}

/** Errors: LOADER_OPTIONS. */
function checkChoice(name: string, value: unknown, choices: readonly string[]): void {
  if (value === undefined || (choices as readonly unknown[]).includes(value)) return;
  const expected = `one of ${choices.join(', ')}`;
  throw new LoaderError('LOADER_OPTIONS', `${name} is ${shown(value)}; expected ${expected}`);
}

/** Errors: LOADER_OPTIONS. */
function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined || typeof signal?.addEventListener === 'function') return;
  throw new LoaderError(
    'LOADER_OPTIONS',
    `signal is ${shown(signal)}; expected that of an AbortController`,
  );
}
