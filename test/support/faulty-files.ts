// The log's file layer over a simulated disk, with faults at chosen steps. A step is one call; the
// process may end before it, within it or after it, and after its end nothing happens any more.
// TRACE=1 shows the steps.

import type { SeededRandom } from '../../host/core/index.ts';
import type { LogFile, LogFiles } from '../../host/db/log/files.ts';
import { SimulatedDisk, systemError } from './simulated-disk.ts';

export type Fault = 'end-before' | 'end-within' | 'end-after' | 'io-error' | 'no-room' | 'short';

const IS_TRACED = process.env.TRACE !== undefined;

/** What a step does to the disk; `fold`: it is one of the page store. */
type StepKind = 'write' | 'sync' | 'names' | 'read' | 'fold';

/** A fault at the next steps of a kind. */
export interface AimedFault {
  /** Of what TRACE=1 shows. */
  readonly step: RegExp;
  /** How many of them pass before it. */
  passCount: number;
  readonly fault: Fault;
}

export class FaultyFiles implements LogFiles {
  readonly disk: SimulatedDisk;
  readonly #random: SeededRandom;
  /** Steps taken so far. */
  stepCount = 0;
  /** Faults by the step at which they happen. */
  readonly faults = new Map<number, Fault>();
  /** Taken away when it has happened. */
  aimed: AimedFault | null = null;
  /** Called for each fault that happens. */
  onFault: (step: string, fault: Fault) => void = () => {};
  /** Whether the process has ended. */
  isEnded = false;
  /** Errors that were given out, an end not counted. */
  errorCount = 0;
  openFilesCount = 0;

  constructor(random: SeededRandom, disk = new SimulatedDisk(random)) {
    this.#random = random;
    this.disk = disk;
  }

  /** The next process, on what this one left, or after a power cut on what is left of that. */
  restart(how: 'killed' | 'power cut'): FaultyFiles {
    this.isEnded = true;
    if (how === 'power cut') this.disk.cutPower();
    return new FaultyFiles(this.#random, this.disk);
  }

  async makeFolder(): Promise<void> {}

  async list(folder: string): Promise<string[]> {
    this.#step('read', 'list', () => {});
    return this.disk.list(folder);
  }

  async open(path: string): Promise<LogFile> {
    this.#step('read', `open ${path}`, () => {});
    return this.#file(path, this.disk.inode(path));
  }

  async create(path: string): Promise<LogFile> {
    let inode: ReturnType<SimulatedDisk['inode']> | undefined;
    this.#step('names', `create ${path}`, () => {
      inode = this.disk.create(path);
    });
    return this.#file(path, inode!);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step('names', `rename ${from} ${to}`, () => this.disk.rename(from, to));
  }

  async unlink(path: string): Promise<void> {
    this.#step('names', `unlink ${path}`, () => this.disk.unlink(path));
  }

  async syncFolder(): Promise<void> {
    this.#step('sync', 'folder', () => this.disk.syncFolder());
  }

  /** A fold of a page store beside the log: it happens whole or not at all. */
  fold(lsn: number, whole: () => void): void {
    this.#step('fold', String(lsn), whole);
  }

  #file(path: string, inode: ReturnType<SimulatedDisk['inode']>): LogFile {
    this.openFilesCount += 1;
    return {
      path,
      sizeBytes: async () => inode.cached.length,
      read: async (into, at) => {
        this.#step('read', `${path} ${at}`, () => {});
        const found = inode.cached.subarray(at, at + into.length);
        into.set(found);
        return found.length;
      },
      write: async (bytes, at) => this.#write(inode, bytes, at, path),
      datasync: async () => {
        this.#step(
          'sync',
          path,
          () => this.disk.sync(inode),
          () => this.disk.syncSome(inode),
          () => this.disk.failSync(inode),
        );
      },
      close: async () => {
        this.openFilesCount -= 1;
      },
    };
  }

  #write(
    inode: ReturnType<SimulatedDisk['inode']>,
    bytes: Uint8Array,
    at: number,
    path: string,
  ): number {
    const part = bytes.subarray(0, 1 + (this.#random.uint32() % bytes.length));
    let count = 0;
    const fault = this.#step(
      'write',
      `${path} ${at} +${bytes.length}`,
      () => {
        count = this.disk.write(inode, bytes, at);
      },
      () => this.disk.write(inode, part, at),
      () => this.disk.write(inode, part, at),
    );
    return fault === 'short' ? this.disk.write(inode, part, at) : count;
  }

  /** Takes a step, or what a fault makes of it: `some` is a part of it, `failed` what an error
   *  leaves. A short write is left to the caller. */
  #step(
    kind: StepKind,
    what: string,
    whole: () => void,
    some = () => {},
    failed = () => {},
  ): Fault | null {
    if (this.isEnded) throw new Error('the process has ended');
    this.stepCount += 1;
    const fault = this.faults.get(this.stepCount) ?? this.#aimedAt(`${kind} ${what}`);
    if (fault !== null) this.onFault(`${kind} ${what}`, fault);
    if (IS_TRACED) console.log(`${this.stepCount} ${kind} ${what} ${fault ?? ''}`);
    if (fault === 'short' && kind === 'write') return fault;
    if (fault === 'end-before') this.#end();
    if (fault === 'end-within') {
      some();
      this.#end();
    }
    if (fault === 'io-error' || fault === 'no-room') {
      this.errorCount += 1;
      failed();
      throw systemError(fault === 'io-error' ? 'EIO' : 'ENOSPC', kind);
    }
    whole();
    if (fault === 'end-after') this.#end();
    return fault;
  }

  #aimedAt(step: string): Fault | null {
    const { aimed } = this;
    if (aimed === null || !aimed.step.test(step)) return null;
    aimed.passCount -= 1;
    if (aimed.passCount >= 0) return null;
    this.aimed = null;
    return aimed.fault;
  }

  #end(): never {
    this.isEnded = true;
    throw new Error('the process ends here');
  }
}
