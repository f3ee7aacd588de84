// An upstream that misbehaves at random and callers that pause, give up and send bodies. Whatever
// happens, an answer belongs to its request, each call ends once, and nothing is left behind.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { BODY_SIZE_UNKNOWN, SeededRandom } from '../../host/core/index.ts';
import type { UpstreamPool } from '../../host/mesh/index.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import { makePool, type RawServer, rawServer, sendRecorded, until } from '../support/upstream.ts';

interface Parsed {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

/** Takes whole requests off the front of what a connection has sent. */
function takeRequests(text: string): { requests: Parsed[]; rest: string } {
  const requests: Parsed[] = [];
  let rest = text;
  for (;;) {
    const headEnd = rest.indexOf('\r\n\r\n');
    if (headEnd < 0) return { requests, rest };
    const head = rest.slice(0, headEnd);
    const [method = '', target = ''] = head.split(' ', 2);
    let end = headEnd + 4;
    let body = '';
    const length = /content-length: (\d+)/.exec(head);
    if (length !== null) {
      body = rest.slice(end, end + Number(length[1]));
      if (body.length < Number(length[1])) return { requests, rest };
      end += body.length;
    } else if (head.includes('chunked')) {
      const last = rest.indexOf('0\r\n\r\n', end);
      if (last < 0) return { requests, rest };
      body = rest.slice(end, last).replace(/[0-9a-f]+\r\n(.*)\r\n/g, '$1');
      end = last + 5;
    }
    requests.push({ method, target, body });
    rest = rest.slice(end);
  }
}

/** The answer, in one of several framings, and whether the connection ends with it. */
function answer(request: Parsed, random: SeededRandom): { text: string; isLast: boolean } {
  const body = `${request.method} ${request.target} ${request.body}`;
  const shown = request.method === 'HEAD' ? '' : body;
  const kind = random.uint32() % 8;
  if (kind === 0) {
    const head = 'HTTP/1.1 200 OK\r\nConnection: close\r\n';
    return { text: `${head}Content-Length: ${body.length}\r\n\r\n${shown}`, isLast: true };
  }
  if (kind === 1) return { text: `HTTP/1.0 200 OK\r\n\r\n${shown}`, isLast: true };
  if (kind <= 3) {
    const half = body.length >> 1;
    const chunks = [body.slice(0, half), body.slice(half)]
      .map((part) => `${part.length.toString(16)};x=y\r\n${part}\r\n`)
      .join('');
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
    return { text: head + (request.method === 'HEAD' ? '' : `${chunks}0\r\n\r\n`), isLast: false };
  }
  const interim = kind === 4 ? 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n' : '';
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
  return { text: interim + head + shown, isLast: false };
}

/** `pipeline` above 1 trusts the upstream to answer what was asked, once: nobody could tell an
 *  answer too many from the next one. */
async function chaosServer(random: SeededRandom, pipeline: number): Promise<RawServer> {
  const rests = new Map<Socket, string>();
  const ends = new Set<Socket>();
  const server = await rawServer((socket, received, index) => {
    const { requests, rest } = takeRequests((rests.get(socket) ?? '') + received);
    rests.set(socket, rest);
    server.received[index] = '';
    for (const request of requests) {
      if (ends.has(socket)) return;
      const chance = random.unit();
      const { text, isLast } = answer(request, random);
      if (chance < 0.02) socket.resetAndDestroy();
      else if (chance < 0.04 && !text.startsWith('HTTP/1.0')) {
        // Nobody can tell where a body without an end was cut.
        socket.end(text.slice(0, random.uint32() % text.length));
      } else if (chance < 0.05 && pipeline === 1 && !text.startsWith('HTTP/1.0'))
        socket.write(`${text}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!`);
      else if (chance < 0.06) socket.write(`HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n`);
      else if (isLast) socket.end(text);
      else if (chance < 0.3) {
        const cut = random.uint32() % text.length;
        socket.write(text.slice(0, cut));
        socket.write(text.slice(cut));
      } else socket.write(text);
      const isOver = isLast || chance < 0.06;
      if (isOver) ends.add(socket);
    }
    if (random.unit() < 0.02) {
      ends.add(socket);
      socket.end();
    }
  });
  return server;
}

const METHODS = ['GET', 'GET', 'GET', 'HEAD', 'OPTIONS', 'DELETE', 'POST', 'PUT'];

interface Tally {
  good: number;
  bad: number;
  cancelled: number;
}

async function callOnce(
  pool: UpstreamPool,
  random: SeededRandom,
  id: number,
  tally: Tally,
): Promise<void> {
  const method = METHODS[random.uint32() % METHODS.length]!;
  const hasBody = (method === 'POST' || method === 'PUT') && random.unit() < 0.8;
  const body = hasBody ? `body-${id}-`.repeat(1 + (random.uint32() % 50)) : '';
  const bodySizeBytes = random.unit() < 0.5 ? body.length : BODY_SIZE_UNKNOWN;
  const { call, recorder } = sendRecorded(pool, {
    method,
    target: `/${id}`,
    bodySizeBytes: hasBody ? bodySizeBytes : 0,
  });
  if (hasBody) {
    const half = body.length >> 1;
    call.write(Buffer.from(body.slice(0, half)));
    if (random.unit() < 0.3) await new Promise((resolve) => setImmediate(resolve));
    call.write(Buffer.from(body.slice(half)));
    call.end();
  }
  if (random.unit() < 0.05) {
    recorder.onHeadHook = () => {
      call.pause();
      setImmediate(() => call.resume());
    };
  }
  if (random.unit() < 0.05) {
    for (let turns = random.uint32() % 4; turns > 0; turns--) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (!recorder.isOver) {
      call.cancel();
      tally.cancelled += 1;
      return;
    }
  }
  await recorder.over;
  if (recorder.error === null) {
    tally.good += 1;
    const expected = method === 'HEAD' ? '' : `${method} /${id} ${body}`;
    assert.equal(recorder.text, expected, 'the answer to another request');
  } else tally.bad += 1;
}

describe('an upstream that misbehaves', () => {
  for (const pipeline of [1, 8]) {
    it(`never mixes answers up, with pipeline ${pipeline}`, async () => {
      const seed = testSeed(`upstream-chaos, pipeline ${pipeline}`);
      const random = new SeededRandom(seed);
      const server = await chaosServer(random, pipeline);
      const pool = makePool({ port: server.port, pipeline, connectionsMax: 8, pendingMax: 100 });
      const tally: Tally = { good: 0, bad: 0, cancelled: 0 };
      const endMs = Date.now() + FUZZ_TIME_MS / 2;
      let id = 0;
      const caller = async (): Promise<void> => {
        while (Date.now() < endMs) await callOnce(pool, random, id++, tally);
      };
      await Promise.all(Array.from({ length: 24 }, caller));
      assert.equal(pool.activeCount, 0);
      pool.close();
      await until(() => pool.connectionsCount === 0 && server.open.size === 0);
      await server.stop();
      console.log(`# ${JSON.stringify(tally)}`);
      assert.ok(tally.good > 100 && tally.bad > 10 && tally.cancelled > 10);
    });
  }
});
