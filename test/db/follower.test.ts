// Followers: they take what the primary wrote, through any way that cuts, repeats or loses, and
// nothing of a primary that was replaced.

import assert from 'node:assert/strict';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import { GatewayError, isGatewayError, SeededRandom, systemClock } from '../../host/core/index.ts';
import type { LogGroup } from '../../host/db/contract.ts';
import { encodeBeat, FeedDecoder, type FeedPosition } from '../../host/db/log/feed.ts';
import { FollowerLog } from '../../host/db/log/follower-log.ts';
import { encodeGroup, GROUP_HEAD_SIZE_BYTES } from '../../host/db/log/group.ts';
import { LogTail } from '../../host/db/log/log-tail.ts';
import { SegmentLog } from '../../host/db/log/segment-log.ts';
import { FaultyFiles } from '../support/faulty-files.ts';
import {
  appendMany,
  codeOf,
  groupOf,
  kernelXxh64,
  randomPayload,
  readAll,
} from '../support/log-scene.ts';
import { testSeed } from '../support/seed.ts';

const xxh64 = kernelXxh64();
const random = new SeededRandom(testSeed('follower'));
const SEGMENT_SIZE_BYTES = 32_768;

/** A log of its own on a simulated disk. */
async function node(files = new FaultyFiles(random)) {
  const log = await SegmentLog.open({
    folder: '/log',
    xxh64,
    files,
    segmentSizeBytes: SEGMENT_SIZE_BYTES,
  });
  const tail = new LogTail({ log, xxh64, clock: systemClock, beatIntervalMs: 20 });
  const groups: LogGroup[] = [];
  const follower = new FollowerLog({ log, xxh64, onGroup: (group) => groups.push(group) });
  return { log, tail, follower, groups, files };
}

type Node = Awaited<ReturnType<typeof node>>;

async function appendRandom({ log }: Node, count: number): Promise<void> {
  for (let index = 0; index < count; ++index) {
    const payload = randomPayload(random, random.uint32() % 6_000);
    const commitsCount = 1 + (random.uint32() % 4);
    const group = groupOf({ firstLsn: log.nextLsn, commitsCount, epoch: log.epoch, payload });
    await log.append(group.firstLsn, group);
  }
}

/** Follows until the follower has what the primary has. */
async function catchUp(primary: Node, follower: Node): Promise<void> {
  const controller = new AbortController();
  const stop = follower.log.onDurable(() => {
    if (follower.log.nextLsn === primary.log.nextLsn) controller.abort();
  });
  const { position } = follower.follower;
  if (position.nextLsn === primary.log.nextLsn) controller.abort();
  await follower.follower.follow(primary.tail.feed(position, controller.signal));
  stop();
}

async function assertSame(one: Node, other: Node): Promise<void> {
  assert.equal(one.log.chain, other.log.chain);
  assert.deepEqual(await readAll(one.log), await readAll(other.log));
}

/** Pieces of a stream, cut anywhere. */
async function* cut(feed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const bytes of feed) {
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + (random.uint32() % 3_000);
      yield bytes.subarray(at, at + size);
      at += size;
    }
  }
}

/** What a feed sends from a position until the follower would wait. */
async function pieces(primary: Node, position: FeedPosition): Promise<Uint8Array[]> {
  const controller = new AbortController();
  const list: Uint8Array[] = [];
  const decoder = new FeedDecoder(xxh64);
  let lastLsn = position.nextLsn - 1;
  for await (const bytes of primary.tail.feed(position, controller.signal)) {
    list.push(bytes);
    for (const item of decoder.push(bytes)) {
      if (item.kind === 'group') lastLsn = item.group.lastLsn;
    }
    if (lastLsn === primary.log.nextLsn - 1) controller.abort();
  }
  return list;
}

async function* sent(list: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* list;
}

const START: FeedPosition = { nextLsn: 1, chain: 0n };

describe('a follower in one process', { timeout: 60_000 }, () => {
  it('gets what there is and what comes, and says how far the primary is', async () => {
    const [primary, follower] = [await node(), await node()];
    await appendRandom(primary, 20);
    const controller = new AbortController();
    const following = follower.follower.follow(
      cut(primary.tail.feed(follower.follower.position, controller.signal)),
    );
    for (let round = 0; round < 10; ++round) {
      await appendRandom(primary, 3);
      await new Promise((resolve) => setImmediate(resolve));
    }
    while (follower.log.nextLsn < primary.log.nextLsn) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    while (follower.follower.sender?.lastLsn !== primary.log.nextLsn - 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(primary.tail.followersCount, 1);
    controller.abort();
    await following;
    assert.equal(primary.tail.followersCount, 0);
    assert.equal(primary.tail.neededLsn, null);
    await assertSame(primary, follower);
    assert.deepEqual(follower.groups, await readAll(follower.log));
  });

  it('goes on after partitions, wherever the stream was cut', async () => {
    const [primary, follower] = [await node(), await node()];
    for (let round = 0; round < 30; ++round) {
      await appendRandom(primary, 1 + (random.uint32() % 4));
      const list = await pieces(primary, follower.follower.position);
      const whole = Buffer.concat(list);
      const kept = whole.subarray(0, random.uint32() % (whole.length + 1));
      await follower.follower.follow(cut(sent([kept])));
      if (round % 5 === 0) {
        await follower.log.close();
        Object.assign(follower, await node(follower.files));
      }
    }
    await catchUp(primary, follower);
    await assertSame(primary, follower);
  });

  it('passes over what is repeated, and takes nothing out of order', async () => {
    const [primary, follower] = [await node(), await node()];
    await appendRandom(primary, 12);
    const [beat, ...groups] = await pieces(primary, START);
    for (let round = 0; round < 40; ++round) {
      const from = random.uint32() % groups.length;
      const some = groups.slice(from, from + 1 + (random.uint32() % 4));
      if (random.unit() < 0.3) some.push(groups[random.uint32() % groups.length]!);
      const code = await codeOf(() => follower.follower.follow(sent([beat!, ...some])));
      assert.match(code, /^(nothing|DB_LOG_FENCED)$/);
      const expected = (await readAll(primary.log)).slice(0, (await readAll(follower.log)).length);
      assert.deepEqual(await readAll(follower.log), expected);
    }
    await catchUp(primary, follower);
    await assertSame(primary, follower);
  });

  it('takes nothing that was changed on the way', async () => {
    const [primary, follower] = [await node(), await node()];
    await appendRandom(primary, 3);
    const whole = Buffer.concat(await pieces(primary, START));
    for (let round = 0; round < 60; ++round) {
      const changed = Uint8Array.from(whole);
      changed[random.uint32() % changed.length]! ^= 1 << (random.uint32() % 8);
      await follower.follower.follow(cut(sent([changed]))).catch((error: unknown) => {
        assert.ok(
          isGatewayError(error) && /DB_(FEED_CORRUPT|LOG_FENCED)/.test(error.code),
          `${error}`,
        );
      });
      const expected = (await readAll(primary.log)).slice(0, (await readAll(follower.log)).length);
      assert.deepEqual(await readAll(follower.log), expected);
    }
  });

  it('that is too late is told, and so is one too many', async () => {
    const primary = await node();
    await appendRandom(primary, 40);
    await primary.log.trim(primary.log.nextLsn);
    assert.equal(await codeOf(() => pieces(primary, START)), 'DB_LOG_TRIMMED');
    const { signal } = new AbortController();
    const tail = new LogTail({ ...primary, xxh64, clock: systemClock, followersCountMax: 1 });
    const position = { nextLsn: primary.log.nextLsn, chain: primary.log.chain };
    const first = tail.feed(position, signal);
    await first.next();
    assert.equal(tail.neededLsn, primary.log.nextLsn);
    assert.equal(await codeOf(() => tail.feed(position, signal).next()), 'DB_LOG_FOLLOWERS');
    await first.return(undefined);
    assert.equal(tail.followersCount, 0);
  });
});

describe('a promotion', () => {
  it('fences the old primary, whose late groups nobody takes', async () => {
    const [old, next, third] = [await node(), await node(), await node()];
    await appendRandom(old, 5);
    await catchUp(old, next);
    await catchUp(old, third);
    // The old primary goes on alone, and its stream is under way.
    await appendRandom(old, 2);
    const late = await pieces(old, next.follower.position);
    assert.equal(await next.follower.promote(), 2);
    assert.equal(await codeOf(() => next.follower.follow(sent(late))), 'DB_LOG_FENCED');
    await appendRandom(next, 3);
    await catchUp(next, third);
    assert.equal(third.log.epoch, 2);
    assert.equal(await codeOf(() => third.follower.follow(sent(late))), 'DB_LOG_FENCED');
    await assertSame(next, third);
    // What it wrote alone nobody has: it cannot follow as it is.
    const asked = () => pieces(next, old.follower.position);
    assert.equal(await codeOf(asked), 'DB_LOG_DIVERGED');
    const forced = await pieces(next, { nextLsn: third.log.firstLsn, chain: 0n });
    assert.equal(await codeOf(() => old.follower.follow(sent(forced))), 'DB_LOG_DIVERGED');
  });

  it('is durable before the first append', async () => {
    const promoted = await node();
    await appendMany(promoted.log, 2);
    await promoted.follower.promote();
    const again = await node(promoted.files.restart('power cut'));
    assert.equal(again.log.epoch, 2);
    assert.equal(
      await codeOf(() => again.log.append(3, groupOf({ firstLsn: 3 }))),
      'DB_LOG_FENCED',
    );
  });

  it('ends the feeds of the epoch before, and a new one sends what is older too', async () => {
    const [primary, follower, late] = [await node(), await node(), await node()];
    await appendRandom(primary, 4);
    const { signal } = new AbortController();
    const following = follower.follower.follow(primary.tail.feed(START, signal));
    await primary.log.begin(7);
    await appendRandom(primary, 2);
    await following;
    await catchUp(primary, follower);
    await catchUp(primary, late);
    await assertSame(primary, follower);
    await assertSame(primary, late);
    assert.deepEqual([follower.log.epoch, late.log.epoch], [7, 7]);
  });

  it('refuses groups that no sender of that epoch can have', async () => {
    const follower = await node();
    const send = (group: LogGroup, senderEpoch: number, previousChain = follower.log.chain) => {
      const bytes = new Uint8Array(GROUP_HEAD_SIZE_BYTES + group.payload.length);
      encodeGroup(group, { previousChain, xxh64 }, bytes, 0);
      const beat = encodeBeat({ epoch: senderEpoch, lastLsn: 9, sentAtMs: 1 }, xxh64);
      return codeOf(() => follower.follower.follow(sent([beat, bytes])));
    };
    assert.equal(await send(groupOf({ firstLsn: 1, epoch: 2 }), 3), 'nothing');
    assert.equal(await send(groupOf({ firstLsn: 2, epoch: 4 }), 3), 'DB_LOG_DIVERGED');
    assert.equal(await send(groupOf({ firstLsn: 2, epoch: 1 }), 3), 'DB_LOG_DIVERGED');
    assert.equal(await send(groupOf({ firstLsn: 2, epoch: 2 }), 3, 5n), 'DB_LOG_DIVERGED');
    assert.equal(await send(groupOf({ firstLsn: 3, epoch: 2 }), 3), 'DB_LOG_FENCED');
    assert.equal(await send(groupOf({ firstLsn: 2, epoch: 2 }), 2), 'DB_LOG_FENCED');
    assert.equal(await send(groupOf({ firstLsn: 2, epoch: 2 }), 3), 'nothing');
    assert.equal(follower.log.nextLsn, 3);
  });
});

describe('a follower over HTTP', { timeout: 60_000 }, () => {
  it('gets the log through connections that break', async () => {
    const [primary, follower] = [await node(), await node()];
    const server = createServer(async (request, response) => {
      const query = new URL(request.url!, 'http://x').searchParams;
      const position = {
        nextLsn: Number(query.get('from')),
        chain: BigInt(`0x${query.get('chain')}`),
      };
      const controller = new AbortController();
      response.on('close', () => controller.abort());
      let left = random.uint32() % 40_000;
      for await (const bytes of primary.tail.feed(position, controller.signal)) {
        left -= bytes.length;
        if (left < 0) {
          response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
          return;
        }
        if (!response.write(bytes)) await new Promise((resolve) => response.once('drain', resolve));
      }
      response.end();
    }).listen(0, '127.0.0.1');
    after(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await appendRandom(primary, 30);
    let connections = 0;
    while (follower.log.nextLsn < primary.log.nextLsn) {
      connections += 1;
      const { nextLsn, chain } = follower.follower.position;
      const url = `http://127.0.0.1:${port}/?from=${nextLsn}&chain=${chain.toString(16)}`;
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        get(url, { agent: false }, resolve).on('error', reject);
      });
      const stop = follower.log.onDurable(() => {
        if (follower.log.nextLsn === primary.log.nextLsn) response.destroy();
      });
      await follower.follower.follow(response).catch((error: unknown) => {
        if (error instanceof GatewayError) throw error;
      });
      stop();
    }
    assert.ok(connections > 1);
    await assertSame(primary, follower);
  });
});
