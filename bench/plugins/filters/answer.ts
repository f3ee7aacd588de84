// Answers by itself, after a look at the request: what a switch is measured with where the rate
// should be as high as a gateway can have it, without an upstream beside the load.

import {
  Context,
  FilterHeadersStatusValues,
  HeaderPair,
  makeHeaderPair,
  RootContext,
  registerRootContext,
  send_http_response,
  stream_context,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { Filter, FilterRoot } from '../../../plugins/kit/filter';
import { Settings } from '../../../plugins/kit/settings';

export * from '../../../plugins/kit/callbacks';

class Root extends FilterRoot {
  configure(_settings: Settings): void {}

  createContext(id: u32): Context {
    return new Answer(id, this);
  }
}

class Answer extends Filter {
  onRequestHeaders(_count: u32, _isLast: bool): FilterHeadersStatusValues {
    const agent = stream_context.headers.request.get('user-agent');
    const client = agent.startsWith('Mozilla/') ? 'browser' : 'other';
    const headers: HeaderPair[] = [makeHeaderPair('x-client', client)];
    send_http_response(200, 'answered', String.UTF8.encode('hello\n'), headers);
    return FilterHeadersStatusValues.StopIteration;
  }
}

registerRootContext((id: u32): RootContext => new Root(id), 'bench');
