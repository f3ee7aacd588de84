// The one suite that both engines pass. Where they may differ, docs/uws-limits.md says so and the
// case asks for the engine by name.

import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { Driver, type Engine } from './listener-driver.ts';
import { smugglingCases } from './smuggling.cases.ts';

export function listenerSuite(engine: Engine): void {
  describe(`the ${engine} listener`, () => {
    const driver = new Driver(engine);
    const get = () => driver;
    before(() => driver.start());
    after(async () => assert.equal(await driver.stop(), 0));
    describe('smuggling', () => smugglingCases(get));
  });
}
