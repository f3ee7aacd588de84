// The way between an io worker and a db worker: what is asked is answered once, or with an error as
// soon as the db worker is gone.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { type RemoteReply, WorkerLink } from '../../host/db/front/worker-link.ts';
import {
  BatchedPort,
  FRAME_REPLY,
  FRAME_SEND,
  FRAME_TAKEN,
  type Frame,
  replyFlags,
} from '../../host/db/link/index.ts';

const flags = { endpoint: 'pipeline', encoding: 'json', access: 'read-write' } as const;

function ask(link: WorkerLink, body: string): Promise<RemoteReply | null> {
  return new Promise((resolve, reject) => {
    const isTaken = link.request(flags, 'shop', Buffer.from(body), resolve);
    if (!isTaken) reject(new Error('refused'));
  });
}

describe('the way to a db worker', () => {
  it('carries all of one turn in one message, and answers to whom they belong', async () => {
    const { port1, port2 } = new MessageChannel();
    let messagesCount = 0;
    port2.on('message', () => {
      messagesCount += 1;
    });
    const answer = ({ id, extra, payload }: Frame) => {
      const marks = replyFlags('message', 'json');
      const head = { kind: FRAME_REPLY, flags: marks, extra: 200, id };
      other.send(head, payload.subarray(extra), Buffer.from('!'));
    };
    const other = new BatchedPort(port2, answer, () => {});
    const link = new WorkerLink(port1);
    const replies = await Promise.all(['a', 'b', 'c'].map((body) => ask(link, body)));
    assert.deepEqual(
      replies.map((reply) => Buffer.from(reply!.body).toString()),
      ['a!', 'b!', 'c!'],
    );
    assert.equal(messagesCount, 1);
    assert.equal(link.outstandingCount, 0);
    link.close();
  });

  it('fails what is in flight when the other side is gone, and takes nothing more', async () => {
    const { port1, port2 } = new MessageChannel();
    const link = new WorkerLink(port1);
    const waiting = ask(link, 'x');
    const ended = new Promise<number>((resolve) => {
      const ear = { send: () => {}, end: (code: number) => resolve(code) };
      link.open({ version: 2, encoding: 'json', access: 'read-write' }, 'shop', ear);
    });
    port2.close();
    assert.equal(await waiting, null);
    assert.equal(await ended, 1013);
    assert.equal(link.isOpen, false);
    await assert.rejects(ask(link, 'y'), /refused/);
  });

  // A db worker takes no messages while a statement runs, and nobody can pause a client of uWS:
  // what one WebSocket sent meanwhile was kept without a bound.
  it('closes a WebSocket that sends more than the db worker takes', async () => {
    const { port1, port2 } = new MessageChannel();
    const link = new WorkerLink(port1);
    const ended: number[] = [];
    const ear = { send: () => {}, end: (code: number) => ended.push(code) };
    const id = link.open({ version: 2, encoding: 'json', access: 'read-write' }, 'shop', ear);
    const other = link.open({ version: 2, encoding: 'json', access: 'read-write' }, 'shop', ear);
    const large = new Uint8Array(16_777_216);
    for (let count = 0; count < 4; count++) link.message(id, large, 'text');
    const worker = new BatchedPort(
      port2,
      () => {},
      () => {},
    );
    worker.send({ kind: FRAME_TAKEN, flags: 0, extra: 16_384, id });
    worker.send({ kind: FRAME_SEND, flags: 0, extra: 0, id: other });
    await new Promise<void>((resolve) => {
      ear.send = resolve;
    });
    link.message(id, large, 'text');
    assert.deepEqual(ended, []);
    link.message(id, large, 'text');
    assert.deepEqual(ended, [1013]);
    link.message(other, large, 'text');
    assert.deepEqual(ended, [1013]);
    link.close();
  });

  it('refuses at once what is too much', async () => {
    const { port1, port2 } = new MessageChannel();
    const link = new WorkerLink(port1);
    const outcomes = Array.from({ length: 4_097 }, () =>
      link.request(flags, 'shop', new Uint8Array(1), () => {}),
    );
    assert.equal(outcomes.indexOf(false), 4_096);
    link.close();
    port2.close();
  });
});
