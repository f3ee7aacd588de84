// A release's files through all levels: memory, storage, what is built in, and the network. One
// download serves everybody who waits for the same content.

import { abortError } from './clock.ts';
import type { ContentStore } from './content.ts';
import { isFinal, LoaderError, toLoaderError } from './errors.ts';
import type { Bytes, ContentRef, Priority, ReleaseFile, ReleaseManifest } from './model.ts';
import {
  type DeltaBase,
  type Network,
  type Received,
  resourceTarget,
  type Wanted,
} from './network.ts';
import type { Notes } from './notes.ts';
import { BaseFinder } from './path-form.ts';
import type { BuiltInRelease, OpenRelease } from './release.ts';
import type { Scheduler } from './scheduler.ts';

export interface SupplyOptions {
  readonly content: ContentStore;
  readonly network: Network;
  readonly scheduler: Scheduler;
  readonly notes: Notes;
  readonly builtIns: ReadonlyMap<string, BuiltInRelease>;
  /** Releases of a channel that are here, newest first: bases of deltas. */
  readonly present: (channel: string) => readonly OpenRelease[];
}

export interface SupplyTask {
  readonly priority: Priority;
  readonly signal: AbortSignal;
}

export interface Supplied {
  readonly bytes: Bytes;
  readonly receivedBytes: number;
  /** Why it could not be kept in the storage. */
  readonly unkept: LoaderError | null;
}

interface FinderFor {
  readonly manifest: ReleaseManifest;
  readonly finder: BaseFinder;
}

export class Supply {
  readonly #options: SupplyOptions;
  readonly #flights = new Map<string, Promise<Supplied>>();
  /** By an old release, and for the new one that was asked for last. */
  readonly #finders = new WeakMap<OpenRelease, FinderFor>();

  constructor(options: SupplyOptions) {
    this.#options = options;
  }

  /** A file, verified. Errors: LOADER_UNAVAILABLE with what was tried; LOADER_ABORTED. */
  async file(release: OpenRelease, file: ReleaseFile, task: SupplyTask): Promise<Supplied> {
    const { channel, version } = release.manifest;
    return await this.content(
      {
        ref: file,
        channel,
        what: file.path,
        target: resourceTarget(channel, version, file.path),
        bases: this.#basesOf(release, file),
        kind: 'content',
      },
      task,
    );
  }

  /** Any content, verified. Errors: as `file`. */
  async content(wanted: Wanted, task: SupplyTask): Promise<Supplied> {
    const { sha256 } = wanted.ref;
    for (;;) {
      if (task.signal.aborted) throw abortError();
      const flight = this.#flights.get(sha256);
      if (flight === undefined) return await this.#begin(wanted, task);
      try {
        return copyOf(await flight);
      } catch (error) {
        // Another caller's abort is not ours.
        const known = toLoaderError(error, 'LOADER_UNAVAILABLE');
        if (known.code !== 'LOADER_ABORTED' || task.signal.aborted) throw known;
      }
    }
  }

  /** A content that is only passing through: neither looked for here nor kept. */
  async passing(wanted: Wanted, { priority, signal }: SupplyTask): Promise<Received> {
    const { network, scheduler } = this.#options;
    return await scheduler.run(priority, signal, () => network.receive(wanted, signal));
  }

  async #begin(wanted: Wanted, task: SupplyTask): Promise<Supplied> {
    const flight = this.#supply(wanted, task);
    this.#flights.set(wanted.ref.sha256, flight);
    try {
      return await flight;
    } finally {
      this.#flights.delete(wanted.ref.sha256);
    }
  }

  async #supply(wanted: Wanted, { priority, signal }: SupplyTask): Promise<Supplied> {
    const { content, network, scheduler } = this.#options;
    const { ref } = wanted;
    const here = await content.read(ref, wanted);
    if (here !== null) return { bytes: here, receivedBytes: 0, unkept: null };
    // Within the bound too: what waits for its turn holds no bytes.
    return await scheduler.run(priority, signal, async () => {
      const builtIn = await this.#fromBuiltIn(wanted);
      if (builtIn !== null) return await this.#keep(ref, builtIn, 0);
      const received = await network.receive(wanted, signal);
      return await this.#keep(ref, received.bytes, received.receivedBytes);
    });
  }

  /** A disk that is full takes nothing away from who asked. */
  async #keep(ref: ContentRef, bytes: Bytes, receivedBytes: number): Promise<Supplied> {
    try {
      await this.#options.content.write(ref, bytes);
      return { bytes, receivedBytes, unkept: null };
    } catch (error) {
      const unkept = toLoaderError(error, 'LOADER_DISK');
      const place = { level: 'disk', channel: null, what: `content ${ref.sha256}` } as const;
      this.#options.notes.fallback(unkept, 'LOADER_DISK', place);
      return { bytes, receivedBytes, unkept };
    }
  }

  async #fromBuiltIn({ ref, channel, what }: Wanted): Promise<Bytes | null> {
    try {
      return (await this.#options.builtIns.get(channel)?.content(ref)) ?? null;
    } catch (error) {
      const place = { level: 'builtIn', channel, what } as const;
      this.#options.notes.fallback(error, 'LOADER_DISK', place);
      return null;
    }
  }

  /** What the releases that are here have in the file's place. None in a packed channel, whose
   *  deltas are all between packs. */
  #basesOf(release: OpenRelease, file: ReleaseFile): DeltaBase[] {
    const { present, content, builtIns } = this.#options;
    const { manifest } = release;
    if (manifest.pack !== null || file.sizeBytes === 0) return [];
    const builtIn = builtIns.get(manifest.channel);
    const bases = new Map<string, DeltaBase>();
    for (const old of present(manifest.channel)) {
      const base = this.#finder(old, release).find(file);
      if (base === null || base.sha256 === file.sha256 || base.sizeBytes === 0) continue;
      const place = { channel: manifest.channel, what: base.path };
      const read = async (): Promise<Bytes | null> => {
        return (await content.read(base, place)) ?? (await builtIn?.content(base)) ?? null;
      };
      if (!bases.has(base.sha256)) bases.set(base.sha256, { ref: base, read });
    }
    return [...bases.values()];
  }

  #finder(old: OpenRelease, { manifest, files }: OpenRelease): BaseFinder {
    const known = this.#finders.get(old);
    if (known?.manifest === manifest) return known.finder;
    const finder = new BaseFinder(old.manifest.files, files);
    this.#finders.set(old, { manifest, finder });
    return finder;
  }
}

/** Everybody gets bytes of their own. */
function copyOf(supplied: Supplied): Supplied {
  return { ...supplied, bytes: supplied.bytes.slice() };
}

export function throwUnlessKept({ unkept }: Supplied): void {
  if (unkept === null) return;
  if (isFinal(unkept)) throw unkept;
  throw new LoaderError('LOADER_DISK', unkept.message, { cause: unkept });
}
