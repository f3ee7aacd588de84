// Bounds the kernel's receive buffer of uWS connections. When a read fills uWS's buffer of 512 KiB
// it reads again at once, paused or not, so with a larger receive buffer
// a fast client is never held back: hundreds of MiB were seen. Neither uWS nor Node offers the
// option for TCP. The main thread sets it on the listening sockets, by their descriptor, through
// the one handle of Node that does; accepted sockets inherit it. Linux only; elsewhere nothing is
// done, and what is held stays bounded by a cut.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** As asked for; the kernel doubles it for its own bookkeeping, so that a read stays below uWS's
 *  512 KiB. It bounds an upload to about this much per round trip. */
const RECEIVE_SIZE_BYTES = 229_376;
/** State of a listening socket. Source: include/net/tcp_states.h, TCP_LISTEN. */
const STATE_LISTEN = '0A';

interface DatagramHandle {
  open(fd: number): number;
  bufferSize(sizeBytes: number, isReceive: boolean, context: object): number | undefined;
}

/** Descriptors that are done, with the inode of their socket. The handles stay for ever: closing
 *  one would close uWS's descriptor. */
const done = new Map<number, { readonly inode: string; readonly handle: DatagramHandle }>();

/** Bounds the receive buffers of this process's listening sockets on `ports`. Call it on the main
 *  thread, whose event loop watches none of them. Returns how many sockets were bounded. */
export function boundReceiveBuffers(ports: readonly number[]): number {
  if (process.platform !== 'linux') return 0;
  const inodes = listeningInodes(new Set(ports));
  let count = 0;
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    const inode = inodeOf(fd);
    if (!inodes.has(inode) || done.get(fd)?.inode === inode) continue;
    const handle = boundOne(fd);
    if (handle === null) continue;
    done.set(fd, { inode, handle });
    count += 1;
  }
  return count;
}

function boundOne(fd: number): DatagramHandle | null {
  const before = done.get(fd)?.handle;
  const handle = before ?? newHandle();
  if (handle === null) return null;
  if (before === undefined && handle.open(fd) !== 0) return null;
  return handle.bufferSize(RECEIVE_SIZE_BYTES, true, {}) === undefined ? null : handle;
}

function newHandle(): DatagramHandle | null {
  const { binding } = process as unknown as { binding?: (name: string) => object };
  if (binding === undefined) return null;
  const { UDP } = binding.call(process, 'udp_wrap') as { UDP?: new () => DatagramHandle };
  return UDP === undefined ? null : new UDP();
}

/** Inodes of listening sockets, as /proc/[pid]/fd names them. Source: proc(5), /proc/net/tcp. */
function listeningInodes(ports: ReadonlySet<number>): Set<string> {
  const inodes = new Set<string>();
  for (const table of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    for (const line of linesOf(table)) {
      const fields = line.trim().split(/\s+/);
      const port = Number.parseInt(fields[1]?.split(':')[1] ?? '', 16);
      if (fields[3] === STATE_LISTEN && ports.has(port)) inodes.add(`socket:[${fields[9]}]`);
    }
  }
  return inodes;
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'latin1').split('\n').slice(1);
  } catch {
    // A kernel without IPv6 has no table for it.
    return [];
  }
}

function inodeOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // Closed since it was listed.
    return '';
  }
}
