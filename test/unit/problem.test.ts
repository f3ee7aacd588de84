import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { headerValue, problemResponse } from '../../host/core/index.ts';

describe('problem responses', () => {
  it('carry one reason in body and header', () => {
    const { status, headers, body } = problemResponse('GW_ROUTE_NONE', 'GET "/x"');
    assert.equal(status, 404);
    assert.equal(headerValue(headers, 'content-type'), 'application/problem+json');
    assert.equal(headerValue(headers, 'x-sluice-reason'), '501');
    assert.deepEqual(JSON.parse(body), {
      type: 'about:blank',
      title: 'no route matches',
      status: 404,
      detail: 'GET "/x"',
      reason: 501,
      code: 'GW_ROUTE_NONE',
    });
  });

  it('leave an empty detail out and never send a status 0', () => {
    assert.ok(!('detail' in JSON.parse(problemResponse('GW_RATE_LIMITED', '').body)));
    const inner = problemResponse('GW_CONFIG_FILE', '/secret/path');
    assert.equal(inner.status, 500);
    assert.doesNotMatch(inner.body, /secret/);
  });

  it('give each caller headers of its own', () => {
    problemResponse('GW_ROUTE_NONE', '').headers.push('retry-after', '1');
    assert.equal(
      headerValue(problemResponse('GW_ROUTE_NONE', '').headers, 'retry-after'),
      undefined,
    );
  });
});
