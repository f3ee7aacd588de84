// What a db worker does: takes requests and WebSocket messages from io workers through its ports,
// and answers each of them once, or with an error.

import type { MessagePort } from 'node:worker_threads';
import { Authenticator } from '../auth/index.ts';
import {
  faultOf,
  HranaError,
  isHranaError,
  replyWriter,
  type SocketSession,
} from '../hrana/index.ts';
import {
  BatchedPort,
  CREDIT_UNIT_BYTES,
  FRAME_CLOSED,
  FRAME_CREDIT,
  FRAME_END,
  FRAME_MESSAGE,
  FRAME_OPEN,
  FRAME_REPLICATION,
  FRAME_REPLY,
  FRAME_REQUEST,
  FRAME_SEND,
  FRAME_TAKEN,
  type Frame,
  readOpenFlags,
  readRequestFlags,
  replyFlags,
} from '../link/index.ts';
import type { FollowingEvent } from '../replication/index.ts';
import { DatabaseCommands } from './commands.ts';
import { type LinkReply, ReplicationDesk } from './replication-desk.ts';
import { DatabaseShelf, type OpenedDatabase, type ShelfOptions } from './shelf.ts';

export interface ServiceOptions extends ShelfOptions {
  /** As Authenticator takes it. */
  readonly publicKey: string;
  /** What clients need not know. */
  readonly onError: (error: unknown) => void;
  /** Whether a database is this worker's; without it, each is. */
  readonly owns?: (name: string) => boolean;
  readonly onFollowing?: (event: FollowingEvent) => void;
  /** The gateway has learned of a newer primary. */
  readonly onFenced?: () => void;
}

/** Counted since the worker began; the last two are of now. */
export interface ServiceStats {
  readonly requestsCount: number;
  readonly commitsCount: number;
  readonly groupsCount: number;
  readonly refusalsCount: number;
  readonly databasesCount: number;
  readonly streamsCount: number;
  readonly socketsCount: number;
  readonly writersWaitingCount: number;
  readonly repliesWaitingCount: number;
  /** Commits that are not durable yet. */
  readonly lagCount: number;
  /** Of the copy that is furthest behind its primary; 0 for a gateway that follows none. The time
   *  is infinite before all have caught up for the first time. */
  readonly followerLagCount: number;
  readonly followerLagMs: number;
}

const TRY_LATER = 1013;
/** Bytes that may be on their way to a WebSocket client before its requests have to wait. */
const SOCKET_SENT_SIZE_BYTES_MAX = 4_194_304;
const STATUSES: Readonly<Record<string, number>> = {
  DATABASE_NOT_FOUND: 404,
  DATABASE_UNAVAILABLE: 503,
};

export class DatabaseService {
  readonly #shelf: DatabaseShelf;
  readonly #authenticator: Authenticator;
  readonly #options: ServiceOptions;
  readonly #ports = new Set<PortSessions>();
  /** What an operator asks for. */
  readonly commands: DatabaseCommands;
  readonly #replication: ReplicationDesk | null;
  #requestsCount = 0;

  private constructor(options: ServiceOptions, shelf: DatabaseShelf, auth: Authenticator) {
    this.#options = options;
    this.#shelf = shelf;
    this.#authenticator = auth;
    this.#replication =
      options.replication === undefined
        ? null
        : new ReplicationDesk(shelf, { ...options.replication, ...options });
    this.commands = new DatabaseCommands(shelf, this.#replication);
  }

  static async start(options: ServiceOptions): Promise<DatabaseService> {
    const authenticator = await Authenticator.create(options.publicKey, options.clock);
    return new DatabaseService(options, await DatabaseShelf.open(options), authenticator);
  }

  /** Serves an io worker. */
  attach(port: MessagePort): void {
    const sessions = new PortSessions(port, {
      shelf: this.#shelf,
      replication: this.#replication,
      authenticator: this.#authenticator,
      onError: this.#options.onError,
      onRequest: () => {
        this.#requestsCount += 1;
      },
      onClosed: () => this.#ports.delete(sessions),
    });
    this.#ports.add(sessions);
  }

  sweep(): void {
    this.#shelf.sweep();
    this.#replication?.sweep();
  }

  /** The gateway's standing has changed: what is open becomes what it is now. */
  async turn(): Promise<void> {
    await this.#replication?.turn();
  }

  stats(): ServiceStats {
    const sum = {
      requestsCount: this.#requestsCount,
      ...this.#shelf.counts(),
      databasesCount: 0,
      streamsCount: 0,
      socketsCount: 0,
      writersWaitingCount: 0,
      repliesWaitingCount: 0,
      lagCount: 0,
      followerLagCount: 0,
      followerLagMs: 0,
      ...this.#replication?.lag(),
    };
    for (const { database, sessions } of this.#shelf.opened()) {
      const { stats } = database;
      sum.databasesCount += 1;
      sum.streamsCount += sessions.streamCount;
      sum.socketsCount += sessions.socketCount;
      sum.writersWaitingCount += stats.writersWaitingCount;
      sum.repliesWaitingCount += stats.repliesWaitingCount;
      sum.lagCount += stats.lsn - stats.durableLsn;
    }
    return sum;
  }

  /** Closes databases, and answers what waits for them; io workers see their ports close. */
  async close(): Promise<void> {
    await this.commands.close();
    await this.#replication?.close();
    await this.#shelf.close();
    for (const port of this.#ports) port.close();
  }
}

interface PortDeps {
  readonly shelf: DatabaseShelf;
  readonly replication: ReplicationDesk | null;
  readonly authenticator: Authenticator;
  readonly onError: (error: unknown) => void;
  readonly onRequest: () => void;
  readonly onClosed: () => void;
}

/** A WebSocket: messages that came before its database was open wait. */
interface Socket {
  session: SocketSession | null;
  early: { readonly bytes: Uint8Array; readonly kind: 'text' | 'binary' }[];
  sentSizeBytes: number;
  /** Of its messages, and not told to the io worker. */
  takenSizeBytes: number;
  isPaused: boolean;
}

const EARLY_COUNT_MAX = 1_024;
/** What a record has room for. */
const UNITS_MAX = 65_535;
/** Told at a time, so that short messages cost nothing. */
const TAKEN_SIZE_BYTES_MIN = 65_536;

/** The sessions of one io worker. */
class PortSessions {
  readonly #port: BatchedPort;
  readonly #deps: PortDeps;
  readonly #sockets = new Map<number, Socket>();

  constructor(port: MessagePort, deps: PortDeps) {
    this.#deps = deps;
    this.#port = new BatchedPort(
      port,
      (frame) => this.#take(frame),
      () => this.#closed(),
    );
  }

  close(): void {
    this.#port.close();
  }

  #closed(): void {
    for (const { session } of this.#sockets.values()) session?.close();
    this.#sockets.clear();
    this.#deps.onClosed();
  }

  #take(frame: Frame): void {
    const { id } = frame;
    switch (frame.kind) {
      case FRAME_REQUEST:
        this.#request(frame);
        return;
      case FRAME_REPLICATION:
        this.#answerFollower(frame);
        return;
      case FRAME_OPEN:
        this.#open(frame);
        return;
      case FRAME_MESSAGE:
        this.#message(id, frame.payload, (frame.flags & 1) === 0 ? 'text' : 'binary');
        return;
      case FRAME_CLOSED:
        this.#sockets.get(id)?.session?.close();
        this.#sockets.delete(id);
        return;
      case FRAME_CREDIT:
        this.#credit(id, frame.extra * CREDIT_UNIT_BYTES);
        return;
    }
  }

  // --- HTTP --------------------------------------------------------------------------------------

  #request(frame: Frame): void {
    this.#deps.onRequest();
    const { id, flags, extra, payload } = frame;
    const { access } = readRequestFlags(flags);
    const name = nameOf(payload, extra);
    const body = payload.subarray(extra);
    const opened = this.#deps.shelf.find(name);
    if (opened !== null) {
      this.#run(id, flags, body, opened);
      return;
    }
    this.#deps.shelf.takeOpen(name, access).then(
      (found) => this.#run(id, flags, body, found),
      (error) => this.#refuse(id, error),
    );
  }

  #run(id: number, flags: number, body: Uint8Array, { sessions }: OpenedDatabase): void {
    const request = { ...readRequestFlags(flags), body };
    try {
      sessions.request(request, (reply) => {
        const kind = FRAME_REPLY;
        const marks = replyFlags(reply.form, request.encoding);
        this.#port.send({ kind, flags: marks, extra: reply.status, id }, reply.body);
      });
    } catch (error) {
      this.#refuse(id, error);
    }
  }

  #refuse(id: number, error: unknown): void {
    const fault = this.#faultOf(error);
    const writer = replyWriter('json');
    writer.plainError(fault);
    const status = STATUSES[fault.code] ?? 500;
    const flags = replyFlags('error', 'json');
    this.#port.send({ kind: FRAME_REPLY, flags, extra: status, id }, writer.take());
  }

  #answerFollower({ id, flags, extra, payload }: Frame): void {
    const { replication } = this.#deps;
    if (replication === null) {
      this.#refuse(id, new HranaError('DATABASE_UNAVAILABLE', 'nobody may follow this gateway'));
      return;
    }
    const name = nameOf(payload, extra);
    void replication.answer(flags, name, payload.subarray(extra)).then((reply: LinkReply) => {
      const { form, status, pieces } = reply;
      const kind = FRAME_REPLY;
      this.#port.send({ kind, flags: replyFlags(form, 'protobuf'), extra: status, id }, ...pieces);
    });
  }

  // --- WebSockets --------------------------------------------------------------------------------

  #open(frame: Frame): void {
    this.#deps.onRequest();
    const { id, flags, extra, payload } = frame;
    const name = nameOf(payload, extra);
    const socket: Socket = {
      session: null,
      early: [],
      sentSizeBytes: 0,
      takenSizeBytes: 0,
      isPaused: false,
    };
    this.#sockets.set(id, socket);
    const { access } = readOpenFlags(flags);
    const found = this.#deps.shelf.find(name);
    if (found !== null) this.#begin(id, flags, socket, found);
    else {
      this.#deps.shelf.takeOpen(name, access).then(
        (opened) => this.#begin(id, flags, socket, opened),
        (error) => this.#end(id, TRY_LATER, this.#faultOf(error).message),
      );
    }
  }

  #begin(id: number, flags: number, socket: Socket, opened: OpenedDatabase): void {
    if (this.#sockets.get(id) !== socket) return;
    const { version, encoding, access } = readOpenFlags(flags);
    let isFirst = true;
    socket.session = opened.sessions.openSocket({
      version,
      encoding,
      authenticate: (jwt) => {
        // The io worker has looked at the first one.
        if (!isFirst) return this.#deps.authenticator.check(jwt, opened.name);
        isFirst = false;
        return access;
      },
      send: (message) => this.#send(id, socket, message),
      end: (code, reason) => this.#end(id, code, reason),
    });
    const { early } = socket;
    socket.early = [];
    for (const { bytes, kind } of early) this.#message(id, bytes, kind);
  }

  #message(id: number, bytes: Uint8Array, kind: 'text' | 'binary'): void {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return;
    if (socket.session !== null) {
      try {
        socket.session.message(bytes, kind);
        this.#taken(id, socket, bytes.length);
      } catch (error) {
        socket.session.close();
        this.#end(id, 1011, this.#faultOf(error).message);
      }
      return;
    }
    if (socket.early.length >= EARLY_COUNT_MAX) this.#end(id, TRY_LATER, 'too many messages wait');
    else socket.early.push({ bytes, kind });
  }

  #taken(id: number, socket: Socket, sizeBytes: number): void {
    socket.takenSizeBytes += sizeBytes;
    if (socket.takenSizeBytes < TAKEN_SIZE_BYTES_MIN) return;
    const units = Math.min(Math.floor(socket.takenSizeBytes / CREDIT_UNIT_BYTES), UNITS_MAX);
    socket.takenSizeBytes -= units * CREDIT_UNIT_BYTES;
    this.#port.send({ kind: FRAME_TAKEN, flags: 0, extra: units, id });
  }

  #send(id: number, socket: Socket, message: Uint8Array): void {
    this.#port.send({ kind: FRAME_SEND, flags: 0, extra: 0, id }, message);
    socket.sentSizeBytes += message.length;
    if (socket.sentSizeBytes <= SOCKET_SENT_SIZE_BYTES_MAX || socket.isPaused) return;
    socket.isPaused = true;
    socket.session?.pause();
  }

  #credit(id: number, sizeBytes: number): void {
    const socket = this.#sockets.get(id);
    if (socket === undefined) return;
    socket.sentSizeBytes = Math.max(0, socket.sentSizeBytes - sizeBytes);
    if (!socket.isPaused || socket.sentSizeBytes > SOCKET_SENT_SIZE_BYTES_MAX / 2) return;
    socket.isPaused = false;
    socket.session?.resume();
  }

  #end(id: number, code: number, reason: string): void {
    this.#sockets.delete(id);
    const text = Buffer.from(reason);
    this.#port.send({ kind: FRAME_END, flags: 0, extra: code, id }, text);
  }

  #faultOf(error: unknown) {
    if (isHranaError(error)) return faultOf(error);
    this.#deps.onError(error);
    return new HranaError('INTERNAL', 'internal error');
  }
}

function nameOf(payload: Uint8Array, sizeBytes: number): string {
  return Buffer.from(payload.buffer, payload.byteOffset, sizeBytes).toString('latin1');
}
