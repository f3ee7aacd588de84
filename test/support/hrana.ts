// Sessions of the Hrana protocol over a real database in a temporary folder, asked with plain
// objects.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../host/core/index.ts';
import type { ServedDatabase } from '../../host/db/database.ts';
import type { DatabaseLimits } from '../../host/db/database-options.ts';
import {
  type Access,
  type Encoding,
  type Endpoint,
  SESSION_LIMITS,
  type SessionLimits,
  type Sessions,
  type SocketVersion,
} from '../../host/db/hrana/index.ts';
import { DatabaseShelf, type OpenedDatabase } from '../../host/db/service/index.ts';
import { sqliteModule } from './sql.ts';
import { codecModuleBytes } from './wasm.ts';

const codecBytes = codecModuleBytes();
const codecModule = new WebAssembly.Module(codecBytes);

export interface Answer {
  readonly status: number;
  readonly bytes: Uint8Array;
  // biome-ignore lint/suspicious/noExplicitAny: what tests look into
  readonly json: any;
}

export interface SceneOptions {
  readonly limits?: Partial<SessionLimits>;
  readonly databaseLimits?: Partial<DatabaseLimits>;
  readonly clock?: Clock;
}

export class HranaScene {
  readonly sessions: Sessions;
  readonly database: ServedDatabase;
  readonly #shelf: DatabaseShelf;
  readonly #folder: string;

  private constructor(folder: string, shelf: DatabaseShelf, opened: OpenedDatabase) {
    this.#folder = folder;
    this.#shelf = shelf;
    this.sessions = opened.sessions;
    this.database = opened.database;
  }

  static async open(options: SceneOptions = {}): Promise<HranaScene> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-hrana-'));
    const shelf = await DatabaseShelf.open({
      folder,
      sqlite: sqliteModule,
      codec: codecModule,
      clock: options.clock ?? systemClock,
      creates: 'on-first-use',
      sessionLimits: { ...SESSION_LIMITS, ...options.limits },
      databaseLimits: options.databaseLimits ?? {},
      engineLimits: {},
      retentionMs: 0,
      openCountMax: 64,
      storeSizeBytesMax: 2 ** 30,
      report: () => {},
    });
    return new HranaScene(folder, shelf, await shelf.take('scene', 'read-write'));
  }

  async close(): Promise<void> {
    await this.#shelf.close();
    rmSync(this.#folder, { recursive: true });
  }

  raw(
    endpoint: Endpoint,
    body: Uint8Array,
    encoding: Encoding = 'json',
    access: Access = 'read-write',
  ): Promise<Answer> {
    return new Promise((resolve) => {
      this.sessions.request({ endpoint, encoding, access, body }, (reply) => {
        const bytes = reply.body.slice();
        const text = new TextDecoder().decode(bytes);
        const isOne = reply.form === 'error' || (encoding === 'json' && reply.form === 'message');
        resolve({ status: reply.status, bytes, json: isOne ? JSON.parse(text) : null });
      });
    });
  }

  post(endpoint: Endpoint, body: unknown, access: Access = 'read-write'): Promise<Answer> {
    return this.raw(endpoint, Buffer.from(JSON.stringify(body)), 'json', access);
  }

  /** A pipeline; each request is one of the protocol, or SQL to be executed. */
  async pipeline(
    requests: readonly (object | string)[],
    baton: string | null = null,
    access: Access = 'read-write',
  ): Promise<Answer['json'] & { status: number }> {
    const asked = requests.map((request) =>
      typeof request === 'string' ? { type: 'execute', stmt: { sql: request } } : request,
    );
    const answer = await this.post('pipeline', { baton, requests: asked }, access);
    return { ...answer.json, status: answer.status };
  }

  /** The rows of one statement, as the protocol says them. */
  async rows(sql: string): Promise<unknown[][]> {
    const { results } = await this.pipeline([sql, { type: 'close' }]);
    assert.equal(results[0].type, 'ok', JSON.stringify(results[0]));
    return results[0].response.result.rows.map((row: { value?: unknown }[]) =>
      row.map((value) => value.value ?? null),
    );
  }

  socket(version: SocketVersion = 3): SocketScene {
    return new SocketScene(this.sessions, version);
  }
}

/** A JSON client of a socket session. */
export class SocketScene {
  // biome-ignore lint/suspicious/noExplicitAny: what tests look into
  readonly messages: any[] = [];
  ended: { readonly code: number; readonly reason: string } | null = null;
  readonly session;
  readonly #waiting = new Set<() => void>();
  #nextId = 1;

  constructor(sessions: Sessions, version: SocketVersion) {
    this.session = sessions.openSocket({
      version,
      encoding: 'json',
      authenticate: () => 'read-write',
      send: (message) => {
        this.messages.push(JSON.parse(new TextDecoder().decode(message)));
        this.#wake();
      },
      end: (code, reason) => {
        this.ended = { code, reason };
        this.#wake();
      },
    });
  }

  send(message: unknown): void {
    this.session.message(Buffer.from(JSON.stringify(message)), 'text');
  }

  /** Sends a request and waits for its answer. */
  // biome-ignore lint/suspicious/noExplicitAny: what tests look into
  async ask(request: object): Promise<any> {
    const requestId = this.post(request);
    return this.answer(requestId);
  }

  post(request: object): number {
    const requestId = this.#nextId++;
    this.send({ type: 'request', request_id: requestId, request });
    return requestId;
  }

  // biome-ignore lint/suspicious/noExplicitAny: what tests look into
  answer(requestId: number): Promise<any> {
    return this.until(() => this.messages.find(({ request_id }) => request_id === requestId));
  }

  until<T>(look: () => T | undefined | null): Promise<T> {
    return new Promise((resolve) => {
      const attempt = () => {
        const found = look();
        if (found === undefined || found === null) return;
        this.#waiting.delete(attempt);
        resolve(found);
      };
      this.#waiting.add(attempt);
      attempt();
    });
  }

  #wake(): void {
    for (const attempt of [...this.#waiting]) attempt();
  }
}
