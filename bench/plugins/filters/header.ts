// What most filters do: it reads a header of the request, sets another to what it found, and adds
// one to the response.

import {
  Context,
  FilterHeadersStatusValues,
  RootContext,
  registerRootContext,
  stream_context,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { Filter, FilterRoot } from '../../../plugins/kit/filter';
import { Settings } from '../../../plugins/kit/settings';

export * from '../../../plugins/kit/callbacks';

class Root extends FilterRoot {
  configure(_settings: Settings): void {}

  createContext(id: u32): Context {
    return new Header(id, this);
  }
}

class Header extends Filter {
  onRequestHeaders(_count: u32, _isLast: bool): FilterHeadersStatusValues {
    const headers = stream_context.headers.request;
    const agent = headers.get('user-agent');
    headers.replace('x-client', agent.startsWith('Mozilla/') ? 'browser' : 'other');
    return FilterHeadersStatusValues.Continue;
  }

  onResponseHeaders(_count: u32, _isLast: bool): FilterHeadersStatusValues {
    stream_context.headers.response.add('x-served-by', 'sluice');
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((id: u32): RootContext => new Root(id), 'bench');
