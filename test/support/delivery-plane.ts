// The distribution plane in one thread: a listener, a deliverer and the desk behind it, wired as
// the workers and the main thread are.

import { Progress, systemClock, UploadBudget } from '../../host/core/index.ts';
import type { Wanted } from '../../host/distribution/channel-view.ts';
import { Deliverer } from '../../host/distribution/deliver.ts';
import { makeDelta, makeVariant } from '../../host/distribution/delta.ts';
import { DistributionDesk } from '../../host/distribution/desk.ts';
import { encodeReleaseIndex } from '../../host/distribution/release-index.ts';
import { readStoredManifest } from '../../host/distribution/stored-manifest.ts';
import {
  type Listener,
  listenNode,
  listenUws,
  prepareUwsEnvironment,
} from '../../host/edge/index.ts';
import type { Log } from '../../host/telemetry/index.ts';
import { type Answer, type Ask, ask } from './client.ts';
import type { TestStore } from './distribution.ts';

export type Engine = 'uws' | 'node';

export interface PlaneOptions {
  readonly engine: Engine;
  readonly store: TestStore;
  readonly memorySizeBytesMax?: number;
  readonly channels?: readonly string[];
  readonly headExpiryMs?: number;
  /** Called before each artefact is made. */
  readonly onMake?: (wanted: Wanted) => Promise<void> | void;
}

export class DeliveryPlane {
  readonly lines: string[] = [];
  readonly wanted: Wanted[] = [];
  readonly desk: DistributionDesk;
  readonly deliverer: Deliverer;
  readonly #options: PlaneOptions;
  #listener!: Listener;

  private constructor(options: PlaneOptions) {
    this.#options = options;
    const { store, headExpiryMs = 3_600_000, memorySizeBytesMax = 2 ** 24 } = options;
    const log = this.#log();
    this.desk = new DistributionDesk({
      dir: store.dir,
      clock: store.clock,
      log,
      headSigners: store.headSigners,
      headExpiryMs,
      makeLimits: { concurrency: 2, cpuMsPerMinute: 60_000 },
      memorySizeBytesMax: 2 ** 24,
      loadIndex: async (entry) => encodeReleaseIndex(await readStoredManifest(store.store, entry)),
      make: (wanted) => this.#make(wanted),
      tellAll: (message) => this.deliverer.take(message),
    });
    this.deliverer = new Deliverer({
      store: store.store,
      clock: store.clock,
      log,
      memorySizeBytesMax,
      tell: (message) => this.desk.take(message, (answer) => this.deliverer.take(answer)),
    });
  }

  static async start(options: PlaneOptions): Promise<DeliveryPlane> {
    const plane = new DeliveryPlane(options);
    await plane.desk.start();
    prepareUwsEnvironment();
    const listen = options.engine === 'uws' ? listenUws : listenNode;
    plane.#listener = await listen({
      port: 0,
      address: '127.0.0.1',
      tls: null,
      clock: systemClock,
      handler: plane.deliverer.handler({ prefix: '/r', channels: options.channels ?? [] }),
      uploadBudget: new UploadBudget(),
      progress: new Progress(() => {}),
      chunked: 'accept',
      onRefused: () => {},
      onError: (error) => plane.lines.push(`listener: ${error}`),
    });
    return plane;
  }

  get port(): number {
    return this.#listener.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener.port}`;
  }

  ask(path: string, options: Ask = {}): Promise<Answer> {
    return ask(`${this.url}/r${path}`, options);
  }

  /** Sees what was published since. */
  async look(): Promise<void> {
    await this.desk.look();
  }

  async stop(): Promise<void> {
    await this.#listener.close();
    await this.desk.stop();
  }

  async #make(wanted: Wanted): Promise<boolean> {
    const { store, tools, dir } = this.#options.store;
    this.wanted.push(wanted);
    await this.#options.onMake?.(wanted);
    const task = { dir, roomBytes: 2 ** 40, effort: 1 } as const;
    const { outcome } =
      wanted.kind === 'delta'
        ? await makeDelta(store, tools, { ...task, ...wanted })
        : await makeVariant(store, tools, { ...task, ...wanted });
    return outcome === 'made' || outcome === 'present';
  }

  #log(): Log {
    const write = (message: string, fields: object = {}) => {
      const error = 'error' in fields ? String(fields.error) : '';
      this.lines.push(`${message} ${JSON.stringify(fields)} ${error}`);
    };
    return { debug: () => {}, info: write, warn: write, error: write };
  }
}
