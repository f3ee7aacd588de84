// The callbacks of filters that look at bodies and trailers, beside those of callbacks.ts.

import { streams } from './streams';

export function proxy_on_request_body(id: u32, size: u32, isLast: u32): i32 {
  return streams.get(id).onRequestBody(size, isLast != 0) as i32;
}

export function proxy_on_request_trailers(id: u32, count: u32): i32 {
  return streams.get(id).onRequestTrailers(count) as i32;
}

export function proxy_on_response_body(id: u32, size: u32, isLast: u32): i32 {
  return streams.get(id).onResponseBody(size, isLast != 0) as i32;
}

export function proxy_on_response_trailers(id: u32, count: u32): i32 {
  return streams.get(id).onResponseTrailers(count) as i32;
}
