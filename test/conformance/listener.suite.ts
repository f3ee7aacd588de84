// The one suite that both engines pass. Where they may differ, docs/uws-limits.md says so and the
// case asks for the engine by name.

import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { abortCases } from './aborts.cases.ts';
import { bodyCases } from './bodies.cases.ts';
import { chunkedCases, chunkedRefusalCases } from './chunked.cases.ts';
import { drainCases } from './drain.cases.ts';
import { fuzzCases } from './fuzz.cases.ts';
import { headCases } from './heads.cases.ts';
import { Driver, type Engine } from './listener-driver.ts';
import { responseCases } from './responses.cases.ts';
import { smugglingCases } from './smuggling.cases.ts';
import { tlsCases } from './tls.cases.ts';
import { webSocketCases } from './websocket.cases.ts';

export function listenerSuite(engine: Engine): void {
  describe(`the ${engine} listener`, () => {
    const driver = new Driver(engine);
    const get = () => driver;
    before(() => driver.start());
    after(async () => assert.equal(await driver.stop(), 0));
    describe('smuggling', () => smugglingCases(get));
    describe('chunked requests', () => chunkedCases(get));
    describe('heads', () => headCases(get));
    describe('responses', () => responseCases(get));
    describe('bodies', () => bodyCases(get));
    describe('aborts', () => abortCases(get));
    describe('WebSockets', () => webSocketCases(get));
    describe('random bytes', () => fuzzCases(get));
  });
  describe(`the ${engine} listener, started and stopped`, () => {
    tlsCases(engine);
    drainCases(engine);
    chunkedRefusalCases(engine);
  });
}
