// Starts a fixture process for one engine, and talks to it over raw sockets, where every byte is
// ours. A suite receives a Driver and does not know which engine answers.

import { type ChildProcess, fork } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import type { ListenerTls } from '../../host/config/index.ts';
import { endAtLast } from '../support/leftovers.ts';
import type { FixtureEvent } from './listener-fixture.ts';

export type Engine = 'uws' | 'node';

/** Bytes to send, or a pause. Units: ms. */
export type Step = string | Uint8Array | number;

export interface RawAnswer {
  /** Everything received, one char per byte. */
  readonly text: string;
  /** Whether the server closed before the client gave up. */
  readonly isClosed: boolean;
}

export interface Counts {
  readonly active: number;
  readonly connections: number;
  /** How often the listener told that it gets on. */
  readonly progressReports: number;
}

/** For what the server wrote in a turn of its loop to get here. */
const AFTER_TURN_MS = 60;
/** How often a server that has a request in hand may be silent for as long as we are patient. */
const SILENCES_MAX = 5;

export class Driver {
  readonly engine: Engine;
  port = 0;
  #child: ChildProcess | null = null;
  #nextId = 1;
  readonly #waiting = new Map<number, (message: { result?: unknown; error?: string }) => void>();

  constructor(engine: Engine) {
    this.engine = engine;
  }

  async start(
    tls: ListenerTls | null = null,
    chunked: 'accept' | 'refuse' = 'accept',
  ): Promise<void> {
    const child = fork('test/conformance/listener-fixture.ts', {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    endAtLast(() => child.kill('SIGKILL'));
    child.on('message', (message: { id: number; result?: unknown; error?: string }) => {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    });
    child.on('exit', (code, signal) => {
      const error = `the fixture ended with ${code ?? signal}`;
      for (const settle of this.#waiting.values()) settle({ error });
      this.#waiting.clear();
      this.#child = null;
    });
    try {
      this.port = (await this.#ask('listen', { engine: this.engine, tls, chunked })) as number;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** What happened since the last call. Fails when the process has ended. */
  async events(): Promise<readonly FixtureEvent[]> {
    return (await this.#ask('events')) as FixtureEvent[];
  }

  /** The events of one kind, as text; the others since the last call are lost. */
  async texts(kind: FixtureEvent['kind']): Promise<string[]> {
    return (await this.events()).filter((event) => event.kind === kind).map(({ text }) => text);
  }

  async counts(): Promise<Counts> {
    return (await this.#ask('counts')) as Counts;
  }

  async stopAccepting(): Promise<void> {
    await this.#ask('stop');
  }

  async closeListener(): Promise<void> {
    await this.#ask('close');
  }

  /** Ends the process and returns its exit code. */
  async stop(): Promise<number | null> {
    const child = this.#child;
    if (child === null) return null;
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.disconnect();
    return exited;
  }

  /** Sends raw bytes and collects the answer until the server closes, or nothing came for
   *  `patienceMs` and for a moment since the server's loop has turned, which a busy machine may
   *  keep from running for longer than that. A server with a request in hand is given more time. */
  raw(steps: readonly Step[], patienceMs = 250): Promise<RawAnswer> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true });
      let text = '';
      let timer: NodeJS.Timeout | undefined;
      const finish = (isClosed: boolean) => {
        clearTimeout(timer);
        socket.destroy();
        resolve({ text, isClosed });
      };
      let silences = 0;
      const rearm = () => {
        clearTimeout(timer);
        silences = 0;
        timer = setTimeout(onSilence, patienceMs);
      };
      const onSilence = () => {
        const before = ++silences;
        if (before > SILENCES_MAX) return finish(false);
        const again = (isBusy: boolean) => {
          if (silences !== before) return;
          if (!isBusy) silences = SILENCES_MAX;
          timer = setTimeout(onSilence, isBusy ? patienceMs : AFTER_TURN_MS);
        };
        this.counts().then(
          ({ active }) => again(active > 0),
          () => again(false),
        );
      };
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        rearm();
      });
      socket.on('close', () => finish(true));
      socket.on('error', () => {});
      void send(socket, steps).then(rearm);
    });
  }

  /** A socket for tests that drive it themselves. `localAddress`: where it comes from. */
  connect(localAddress = '127.0.0.1'): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const to = { port: this.port, host: '127.0.0.1' };
      const socket = connect({ ...to, localAddress, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        socket.on('error', () => {});
        resolve(socket);
      });
    });
  }

  #ask(kind: string, more: object = {}): Promise<unknown> {
    const child = this.#child;
    if (child === null) return Promise.reject(new Error('the fixture process has ended'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result);
        else reject(new Error(error));
      });
      child.send({ id, kind, ...more });
    });
  }
}

async function send(socket: Socket, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (typeof step === 'number') await sleep(step);
    else if (!socket.destroyed) {
      socket.write(typeof step === 'string' ? Buffer.from(step, 'latin1') : step);
    }
  }
}

export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Waits until a condition holds; fails after 5 s. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patienceMs = 5_000,
): Promise<void> {
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += 10) {
    if (await holds()) return;
    await sleep(10);
  }
  throw new Error(`waited in vain until ${what}`);
}

/** A request's text; `lines` are header lines beyond Host. */
export function request(method: string, target: string, lines: string[] = [], body = ''): string {
  return `${[`${method} ${target} HTTP/1.1`, 'Host: h', ...lines].join('\r\n')}\r\n\r\n${body}`;
}

/** The final status codes in an answer, in order. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)]
    .map((found) => Number(found[1]))
    .filter((status) => status >= 200);
}

/** What stands behind the head of the first response. */
export function bodyOf(text: string): string {
  const mark = text.indexOf('\r\n\r\n');
  return mark === -1 ? '' : text.slice(mark + 4);
}

/** A response header of the first response, or undefined. */
export function headerOf(text: string, name: string): string | undefined {
  const head = text.slice(0, text.indexOf('\r\n\r\n'));
  const found = new RegExp(`^${name}: (.*)$`, 'im').exec(head.replaceAll('\r\n', '\n'));
  return found?.[1];
}
