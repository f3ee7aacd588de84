// A filter's own answer, in the form that the gateway's errors have: application/problem+json.

import {
  HeaderPair,
  makeHeaderPair,
  send_http_response,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';

/** Answers instead of the upstream. `title` and `detail` are ours: nothing of the request is in
 *  them, so that nothing needs to be escaped. `extra` holds further headers. */
export function refuse(status: u32, title: string, detail: string, extra: HeaderPair[]): void {
  const body =
    '{"type":"about:blank","title":"' +
    title +
    '","status":' +
    status.toString() +
    ',"detail":"' +
    detail +
    '"}';
  const headers: HeaderPair[] = [makeHeaderPair('content-type', 'application/problem+json')];
  for (let index = 0; index < extra.length; index++) headers.push(extra[index]);
  send_http_response(status, detail.replaceAll(' ', '_'), String.UTF8.encode(body), headers);
}
