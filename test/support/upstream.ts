// What the tests of the upstream client share: a raw server that says exactly what a test wants,
// and a handler that writes down what it is told and checks the contract (one last callback, no
// more).

import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Clock, ErrorCode, HeaderList } from '../../host/core/index.ts';
import {
  ManualClock,
  Progress,
  SeededRandom,
  systemClock,
  UploadBudget,
} from '../../host/core/index.ts';
import {
  Deadlines,
  type FailureFacts,
  type Lookup,
  type UpstreamCall,
  type UpstreamHandler,
  UpstreamPool,
  type UpstreamRequest,
} from '../../host/mesh/index.ts';

import { endAtLast } from './leftovers.ts';

export interface RawServer {
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: Socket[];
  /** Connections still open. */
  readonly open: Set<Socket>;
  /** All bytes received, as latin1, by connection. */
  readonly received: string[];
  stop(): Promise<void>;
}

/** A server on a free port; `onData` sees the text a connection has sent so far. */
export async function rawServer(
  onData: (socket: Socket, received: string, connectionIndex: number) => void,
  address = '127.0.0.1',
): Promise<RawServer> {
  const accepted: Socket[] = [];
  const received: string[] = [];
  const open = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    const index = accepted.push(socket) - 1;
    received.push('');
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
    socket.on('data', (bytes) => {
      received[index] += bytes.toString('latin1');
      onData(socket, received[index]!, index);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  endAtLast(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const stop = async (): Promise<void> => {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: (server.address() as AddressInfo).port, accepted, open, received, stop };
}

/** How many whole request heads a text holds. */
export function countHeads(text: string): number {
  return text.split('\r\n\r\n').length - 1;
}

export function okResponse(body: string, headers = ''): string {
  return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`;
}

export class Recorder implements UpstreamHandler {
  status = 0;
  headers: HeaderList = [];
  bodySizeBytes = -2;
  text = '';
  sizeBytes = 0;
  drainsCount = 0;
  error: { code: ErrorCode; detail: string; facts: FailureFacts } | null = null;
  isOver = false;
  keepsText = true;
  onHeadHook: (() => void) | null = null;
  onChunkHook: ((chunk: Uint8Array) => void) | null = null;
  onDrainHook: (() => void) | null = null;
  readonly over: Promise<this>;
  #resolve: (self: this) => void = () => {};

  constructor() {
    this.over = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  onHead(status: number, headers: HeaderList, bodySizeBytes: number): void {
    assert.ok(!this.isOver && this.status === 0, 'a head at the wrong time');
    this.status = status;
    this.headers = headers;
    this.bodySizeBytes = bodySizeBytes;
    this.onHeadHook?.();
  }

  onChunk(chunk: Uint8Array): void {
    assert.ok(!this.isOver && this.status !== 0, 'a chunk at the wrong time');
    this.sizeBytes += chunk.length;
    if (this.keepsText) this.text += Buffer.from(chunk).toString('latin1');
    this.onChunkHook?.(chunk);
  }

  onEnd(): void {
    assert.ok(this.status !== 0, 'an end before the head');
    this.#finish();
  }

  onError(code: ErrorCode, detail: string, facts: FailureFacts): void {
    this.error = { code, detail, facts };
    this.#finish();
  }

  onDrain(): void {
    assert.ok(!this.isOver, 'a drain after the end');
    this.drainsCount += 1;
    this.onDrainHook?.();
  }

  #finish(): void {
    assert.ok(!this.isOver, 'two last callbacks');
    this.isOver = true;
    this.#resolve(this);
  }
}

export interface PoolSetup {
  readonly port: number;
  readonly host?: string;
  readonly protocol?: 'http' | 'https';
  readonly connectionsMax?: number;
  readonly pendingMax?: number;
  readonly keepAliveMs?: number;
  readonly pipeline?: number;
  readonly ca?: string;
  readonly serverName?: string;
  readonly clock?: Clock;
  readonly deadlines?: Deadlines;
  readonly uploadBudget?: UploadBudget;
  readonly lookup?: Lookup;
}

export function makePool(setup: PoolSetup): UpstreamPool {
  const { port, host = '127.0.0.1', protocol = 'http', clock = systemClock } = setup;
  return new UpstreamPool(
    { protocol, host, port, authority: `${host}:${port}`, weight: 1, labels: {} },
    {
      pool: {
        connectionsMax: setup.connectionsMax ?? 16,
        pendingMax: setup.pendingMax ?? 64,
        keepAliveMs: setup.keepAliveMs ?? 60_000,
      },
      pipeline: setup.pipeline ?? 1,
      tls: { ca: setup.ca ?? '', serverName: setup.serverName ?? '' },
    },
    {
      clock,
      random: new SeededRandom(1),
      deadlines: setup.deadlines ?? new Deadlines(clock),
      uploadBudget: setup.uploadBudget ?? new UploadBudget(),
      progress: new Progress(() => {}),
      ...(setup.lookup === undefined ? {} : { lookup: setup.lookup }),
    },
  );
}

/** A clock that tests move, and deadlines that wake at once when they do. */
export class DrivenTime {
  readonly clock = new ManualClock();
  readonly deadlines = new Deadlines(this.clock);

  advance(deltaMs: number): void {
    this.clock.advance(deltaMs);
    this.deadlines.tick();
  }
}

export function makeRequest(change: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    method: 'GET',
    target: '/',
    headers: ['host', 'test'],
    bodySizeBytes: 0,
    connectMs: 5000,
    requestMs: 10_000,
    idleMs: 10_000,
    ...change,
  };
}

/** Sends a request and waits for its end. */
export async function exchange(
  pool: UpstreamPool,
  change: Partial<UpstreamRequest> = {},
): Promise<Recorder> {
  const recorder = new Recorder();
  pool.send(makeRequest(change), recorder);
  return recorder.over;
}

export function sendRecorded(
  pool: UpstreamPool,
  change: Partial<UpstreamRequest> = {},
): { call: UpstreamCall; recorder: Recorder } {
  const recorder = new Recorder();
  return { call: pool.send(makeRequest(change), recorder), recorder };
}

/** Waits until something holds; the test's own timeout ends it if it never does. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
