// Random tables and requests over small alphabets, so that literals collide, branches are given up
// and conditions fail; the whole sequence of candidates has to be the oracle's.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { FieldCondition, RouteSpec } from '../../host/core/index.ts';
import { FUZZ_TIME_MS, testSeed } from '../support/seed.ts';
import {
  oracleNormalisedPath,
  oracleOutcome,
  type RouterRequest,
  requestAsBytes,
  utf8Bytes,
} from './router-oracle.ts';
import { RouterSubject } from './router-subject.ts';

const seed = testSeed('router properties');
const subject = new RouterSubject();

const names = fc.constantFrom('a', 'b', 'x-long-header-name', 'ü');
const values = fc.constantFrom('', 'v', 'vv', 'v w', 'a longer value', 'ü');
const conditions = (): fc.Arbitrary<FieldCondition[]> =>
  fc.array(
    fc.record({
      name: names,
      op: fc.constantFrom<FieldCondition['op'][]>('equals', 'present', 'prefix'),
      value: values,
    }),
    { maxLength: 2 },
  );

const hosts = fc.constantFrom('', '', 'a.com', 'b.a.com', '*.a.com', '*.b.a.com', '*.com', '[::1]');
const literals = ['a', 'b', 'ab', '', 'exactly8', 'longer-than-8', 'é', '%2F', '..a', '.well'];
const patternSegments = fc.constantFrom(...literals, '{x}', '{y}', '{x}');
const patterns = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .tuple(fc.array(patternSegments, { maxLength: 4 }), fc.boolean())
      .map(([segments, isPrefix]) => `/${[...segments, ...(isPrefix ? ['*'] : [])].join('/')}`),
  },
  { weight: 1, arbitrary: fc.constantFrom('~ ^/a', '~ .*') },
);

const specs: fc.Arbitrary<RouteSpec[]> = fc.array(
  fc.record({
    host: hosts,
    path: patterns,
    methods: fc.constantFrom([], [], ['GET'], ['POST'], ['GET', 'PURGE'], ['LINK']),
    headers: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, conditions()),
    query: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, conditions()),
  }),
  { maxLength: 30 },
);

const pathSegments = fc.constantFrom(
  ...literals,
  ...literals,
  ...['.', '..', '%61', '%2e%2E', '%7e', 'Ã©'],
);
const paths = fc.array(pathSegments, { maxLength: 5 }).map((segments) => `/${segments.join('/')}`);
const queries = fc
  .array(
    fc
      .tuple(
        fc.constantFrom('a', '%61', 'b', '%C3%BC', 'ü', 'other', ''),
        fc.constantFrom(
          '',
          '=',
          '=v',
          '=vv',
          '=v+w',
          '=v%20w',
          '=%C3%BC',
          '=%zz',
          '=a+longer+value',
        ),
      )
      .map(([name, value]) => `${name}${value}`),
    { maxLength: 4 },
  )
  .map((parts) => parts.join('&'));

/** Written as text, sent as the bytes of its UTF-8 form. */
const requests: fc.Arbitrary<RouterRequest> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'PURGE', 'LINK', 'get', 'UNKNOWN'),
    authority: fc.constantFrom(
      ...['a.com', 'a.com:80', 'b.a.com', 'c.b.a.com:8080', 'x.com', '.com', '.a.com', 'com', ''],
      ...['[::1]:80', '[::1]', 'other.org', 'a..com'],
    ),
    path: paths,
    query: queries,
    headers: fc.array(fc.tuple(names, values), { maxLength: 4 }).map((fields) => fields.flat()),
  })
  .map(requestAsBytes);

describe('the router against its oracle', () => {
  it('finds the same candidates in the same order, with the same parameters', () => {
    fc.assert(
      fc.property(specs, fc.array(requests, { minLength: 1, maxLength: 20 }), (table, sent) => {
        subject.load(table);
        for (const request of sent) {
          assert.deepEqual(subject.outcome(request), oracleOutcome(table, request));
        }
      }),
      {
        seed,
        numRuns: 100_000,
        interruptAfterTimeLimit: FUZZ_TIME_MS,
        markInterruptAsFailure: false,
      },
    );
  });

  it('normalises paths as the oracle does', () => {
    const pieces = fc.constantFrom(
      ...['/', '/', '.', '..', '%2e', '%2E', '%2f', '%2F', '%41', '%7E', 'a', '%', '%2', '%zz'],
      ...['%00', '%0a', '\\', '#', '\u0001', '\u007f', '%c3%a9', 'é', '𝄞', '?', 'a'.repeat(17)],
    );
    const bytes = fc.constantFrom('\x80', '\xc3', '\xff', '\xfe%41', '\xae');
    const anyPath = fc
      .array(
        fc.oneof({ weight: 5, arbitrary: pieces.map(utf8Bytes) }, { weight: 1, arbitrary: bytes }),
        {
          maxLength: 24,
        },
      )
      .map((parts) => `/${parts.join('')}`);
    subject.load([]);
    fc.assert(
      fc.property(anyPath, (path) => {
        const found = subject.outcome({ ...EMPTY, path });
        const wanted = oracleNormalisedPath(path);
        assert.equal(found.end === 'bad-path' ? null : found.normalisedPath, wanted);
      }),
      {
        seed,
        numRuns: 200_000,
        interruptAfterTimeLimit: FUZZ_TIME_MS,
        markInterruptAsFailure: false,
      },
    );
  });

  it('survives any bytes in any place', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }).map(utf8Bytes),
      fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    const table: RouteSpec[] = ['/', '/{x}', '/a/*', '/*', '~ x'].map((path, index) => ({
      host: index === 2 ? '*.a' : '',
      path,
      methods: [],
      headers: index === 1 ? [{ name: 'h', op: 'present', value: '' }] : [],
      query: index === 3 ? [{ name: 'q', op: 'prefix', value: 'v' }] : [],
    }));
    subject.load(table);
    fc.assert(
      fc.property(text, text, text, text, text, (method, authority, path, query, value) => {
        const request = {
          method,
          authority,
          path: `/${path}`,
          query: `q=${query}`,
          headers: ['h', value],
        };
        const found = subject.outcome(request);
        const wanted = oracleOutcome(table, request);
        assert.equal(found.end, wanted.end);
        assert.deepEqual(
          found.candidates.map(({ route }) => route),
          wanted.candidates.map(({ route }) => route),
        );
      }),
      {
        seed,
        numRuns: 100_000,
        interruptAfterTimeLimit: FUZZ_TIME_MS,
        markInterruptAsFailure: false,
      },
    );
  });
});

const EMPTY: RouterRequest = { method: 'GET', authority: '', path: '/', query: '', headers: [] };
