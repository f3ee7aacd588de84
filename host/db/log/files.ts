// The few things the log asks of a file system, so that a test can put a failing disk in its place.
// Nothing here retries or hides an error: the log decides what an error means.

/** An open file. One call at a time. */
export interface LogFile {
  readonly path: string;
  sizeBytes(): Promise<number>;
  /** Reads at a place of the file; returns how many bytes, fewer only at its end. */
  read(into: Uint8Array, at: number): Promise<number>;
  /** Writes at a place of the file; returns how many bytes, which may be fewer than asked. */
  write(bytes: Uint8Array, at: number): Promise<number>;
  /** Makes the content durable, as fdatasync(2) does. After an error the file's content is unknown
   *  to all but a later open. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

export interface LogFiles {
  /** Makes a folder where there is none, durably. */
  makeFolder(path: string): Promise<void>;
  /** Names in a folder. */
  list(folder: string): Promise<string[]>;
  /** Opens a file that exists, for reading and writing. */
  open(path: string): Promise<LogFile>;
  /** Makes a file that must not exist. */
  create(path: string): Promise<LogFile>;
  /** Replaces what stands at `to`. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
}

/** Writes all of the bytes, as write(2) may write some. Errors: what `write` throws. */
export async function writeAll(file: LogFile, bytes: Uint8Array, at: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const count = await file.write(done === 0 ? bytes : bytes.subarray(done), at + done);
    // A disk that takes nothing and says nothing would be asked for ever.
    if (count <= 0) throw new Error(`${file.path}: nothing was written at ${at + done}`);
    done += count;
  }
}
