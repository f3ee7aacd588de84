// Holds the response's body until it is whole, looks at every byte and gives back another: lower
// case letters become upper case ones.

import {
  BufferTypeValues,
  Context,
  FilterDataStatusValues,
  get_buffer_bytes,
  RootContext,
  registerRootContext,
  set_buffer_bytes,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { Filter, FilterRoot } from '../../../plugins/kit/filter';
import { Settings } from '../../../plugins/kit/settings';

export * from '../../../plugins/kit/body-callbacks';
export * from '../../../plugins/kit/callbacks';

class Root extends FilterRoot {
  configure(_settings: Settings): void {}

  createContext(id: u32): Context {
    return new Body(id, this);
  }
}

class Body extends Filter {
  onResponseBody(size: usize, isLast: bool): FilterDataStatusValues {
    if (!isLast) return FilterDataStatusValues.StopIterationAndBuffer;
    const body = get_buffer_bytes(BufferTypeValues.HttpResponseBody, 0, <u32>size);
    const bytes = Uint8Array.wrap(body);
    for (let index = 0; index < bytes.length; index++) {
      const code = bytes[index];
      if (code >= 0x61 && code <= 0x7a) bytes[index] = code - 0x20;
    }
    set_buffer_bytes(BufferTypeValues.HttpResponseBody, 0, <u32>size, body);
    return FilterDataStatusValues.Continue;
  }
}

registerRootContext((id: u32): RootContext => new Root(id), 'bench');
