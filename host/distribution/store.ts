// Reading the store. Nothing here locks or waits for a writer: what can be seen is whole. Whatever
// turns out to be damaged is taken out of sight, so that it is asked for and missed from then on.

import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { GatewayError } from '../core/index.ts';
import { ArtefactFault, ArtefactFile, type Checksums, sha256Of } from './artefact-file.ts';
import { errorCode, temporaryName } from './durable-file.ts';
import {
  ARTEFACT_FOLDERS,
  type ArtefactRef,
  artefactAt,
  artefactPath,
  shownArtefact,
} from './store-paths.ts';

/** Where damaged artefacts are kept for whoever looks for the cause. */
const QUARANTINE_FOLDER = 'quarantine';

/** An artefact that is open for reading. Close it. */
export interface ArtefactReader {
  readonly ref: ArtefactRef;
  /** Of the payload. */
  readonly sizeBytes: number;
  /** Checked bytes; the range must lie inside. Errors: GW_DIST_CORRUPT, and then it is gone. */
  read(offset: number, sizeBytes: number): Promise<Uint8Array>;
  /** All bytes; those of an object have its hash. Errors: GW_DIST_CORRUPT. */
  readWhole(): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file of the store, as a walk finds it. */
export interface StoredArtefact {
  readonly ref: ArtefactRef;
  readonly path: string;
  /** On disk, sums and footer too. */
  readonly fileSizeBytes: number;
}

interface FaultyFile {
  readonly ref: ArtefactRef;
  readonly inode: number;
}

export class Store {
  readonly dir: string;
  readonly checksums: Checksums;

  /** Opens nothing and makes nothing: a store that does not exist has nothing in it. */
  constructor(dir: string, checksums: Checksums) {
    this.dir = dir;
    this.checksums = checksums;
  }

  pathOf(ref: ArtefactRef): string {
    return join(this.dir, artefactPath(ref));
  }

  /** Null when there is none. Errors: GW_DIST_CORRUPT, and from then on there is none. */
  async open(ref: ArtefactRef): Promise<ArtefactReader | null> {
    const path = this.pathOf(ref);
    let handle: FileHandle;
    try {
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return null;
      throw error;
    }
    try {
      const file = await ArtefactFile.open(handle, this.checksums);
      return new StoreReader(this, ref, file);
    } catch (error) {
      const { ino: inode } = await handle.stat();
      await handle.close();
      throw await this.faultOf({ ref, inode }, error);
    }
  }

  /** Opens, reads all and closes. Null when there is none. Errors: GW_DIST_CORRUPT. */
  async readWhole(ref: ArtefactRef): Promise<Uint8Array | null> {
    const reader = await this.open(ref);
    if (reader === null) return null;
    try {
      return await reader.readWhole();
    } finally {
      await reader.close();
    }
  }

  /** Whether there is a file; it may be damaged. Cost: one stat. */
  async has(ref: ArtefactRef): Promise<boolean> {
    return (await this.fileSizeOf(ref)) !== null;
  }

  /** On disk, sums and footer too; null when there is none. */
  async fileSizeOf(ref: ArtefactRef): Promise<number | null> {
    try {
      return (await stat(this.pathOf(ref))).size;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return null;
      throw error;
    }
  }

  /** Everything that is stored, in no order. Cost: one stat a file. */
  async *list(): AsyncGenerator<StoredArtefact> {
    for (const folder of ARTEFACT_FOLDERS) yield* this.#listBelow(folder);
  }

  async *#listBelow(folder: string): AsyncGenerator<StoredArtefact> {
    for (const entry of await readFolder(join(this.dir, folder))) {
      const below = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        yield* this.#listBelow(below);
        continue;
      }
      const ref = artefactAt(below);
      const fileSizeBytes = ref === null ? null : await this.fileSizeOf(ref);
      // What has gone since, or never was an artefact, is not stored.
      if (ref === null || fileSizeBytes === null) continue;
      yield { ref, path: join(this.dir, below), fileSizeBytes };
    }
  }

  /** Takes a damaged artefact out of sight; not what has been put in its place since. It is no
   *  error when another has done so. */
  async #quarantine({ ref, inode }: FaultyFile): Promise<void> {
    const folder = join(this.dir, QUARANTINE_FOLDER);
    await mkdir(folder, { recursive: true });
    const path = this.pathOf(ref);
    const aside = `${ref.kind}-${basename(path)}-${temporaryName().replace('.tmp', '')}`;
    try {
      if ((await stat(path)).ino === inode) await rename(path, join(folder, aside));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }

  /** Deals with what reading an artefact threw. What a failing disk says is a damaged artefact. */
  async faultOf(file: FaultyFile, error: unknown): Promise<unknown> {
    if (!(error instanceof ArtefactFault) && errorCode(error) !== 'EIO') return error;
    const detail = `${shownArtefact(file.ref)}: ${(error as Error).message}`;
    try {
      await this.#quarantine(file);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      return new GatewayError('GW_DIST_CORRUPT', `${detail}; it stays in place: ${why}`, error);
    }
    return new GatewayError('GW_DIST_CORRUPT', detail, error);
  }
}

class StoreReader implements ArtefactReader {
  readonly ref: ArtefactRef;
  readonly #store: Store;
  readonly #file: ArtefactFile;

  constructor(store: Store, ref: ArtefactRef, file: ArtefactFile) {
    this.ref = ref;
    this.#store = store;
    this.#file = file;
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  async read(offset: number, sizeBytes: number): Promise<Uint8Array> {
    try {
      return await this.#file.read(offset, sizeBytes);
    } catch (error) {
      throw await this.#fault(error);
    }
  }

  async readWhole(): Promise<Uint8Array> {
    const bytes = await this.read(0, this.sizeBytes);
    if (this.ref.kind === 'object' && sha256Of(bytes) !== this.ref.sha256) {
      throw await this.#fault(new ArtefactFault('it has another hash'));
    }
    return bytes;
  }

  #fault(error: unknown): Promise<unknown> {
    return this.#store.faultOf({ ref: this.ref, inode: this.#file.inode }, error);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The entries of a folder; none when there is no such folder. */
export async function readFolder(path: string) {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
