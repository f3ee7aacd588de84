// The file layer on node:fs, with descriptors and callbacks: a FileHandle costs more per call. What
// is short is written on the spot, and only the sync goes to another thread.

import {
  close,
  constants,
  fdatasync,
  fstat,
  mkdir,
  open,
  read,
  readdir,
  rename,
  unlink,
  write,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { LogFile, LogFiles } from './files.ts';
import { LOG_WRITE_INLINE_SIZE_BYTES_MAX } from './limits.ts';

type Callback<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

function called<T>(call: (done: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error === null ? resolve(value) : reject(error)));
  });
}

/** A call that answers with an error or nothing. */
function done(call: (done: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? resolve() : reject(error)));
  });
}

class NodeLogFile implements LogFile {
  readonly path: string;
  readonly #fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  async sizeBytes(): Promise<number> {
    return (await called((then: Callback<{ size: number }>) => fstat(this.#fd, then))).size;
  }

  async read(into: Uint8Array, at: number): Promise<number> {
    let count = 0;
    while (count < into.length) {
      const got = await called((then: Callback<number>) =>
        read(this.#fd, into, count, into.length - count, at + count, then),
      );
      if (got === 0) break;
      count += got;
    }
    return count;
  }

  async write(bytes: Uint8Array, at: number): Promise<number> {
    if (bytes.length <= LOG_WRITE_INLINE_SIZE_BYTES_MAX) {
      return writeSync(this.#fd, bytes, 0, bytes.length, at);
    }
    return await called((then: Callback<number>) =>
      write(this.#fd, bytes, 0, bytes.length, at, then),
    );
  }

  datasync(): Promise<void> {
    return done((then) => fdatasync(this.#fd, then));
  }

  close(): Promise<void> {
    return done((then) => close(this.#fd, then));
  }
}

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

async function openFile(path: string, flags: number): Promise<NodeLogFile> {
  const all = flags | constants.O_RDWR | constants.O_NOFOLLOW;
  const fd = await called((then: Callback<number>) => open(path, all, FILE_MODE, then));
  return new NodeLogFile(path, fd);
}

async function syncFolder(path: string): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY;
  const fd = await called((then: Callback<number>) => open(path, flags, then));
  const folder = new NodeLogFile(path, fd);
  // fdatasync(2) of a folder writes its entries.
  await folder.datasync().finally(() => folder.close());
}

/** The real file system. */
export const nodeLogFiles: LogFiles = {
  async makeFolder(path) {
    const first = await called((then: Callback<string | undefined>) =>
      mkdir(path, { recursive: true, mode: FOLDER_MODE }, then),
    );
    if (first === undefined) return;
    // Each new folder is a name in the one above it.
    for (let folder = path; folder.length >= first.length; folder = dirname(folder)) {
      await syncFolder(dirname(folder));
    }
  },
  list: (folder) => called((then: Callback<string[]>) => readdir(folder, then)),
  open: (path) => openFile(path, 0),
  create: (path) => openFile(path, constants.O_CREAT | constants.O_EXCL),
  rename: (from, to) => done((then) => rename(from, to, then)),
  unlink: (path) => done((then) => unlink(path, then)),
  syncFolder,
};
