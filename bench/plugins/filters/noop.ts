// The filter that does nothing: what a filter costs by being there. It sees both heads.

import { Context, RootContext, registerRootContext } from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { Filter, FilterRoot } from '../../../plugins/kit/filter';
import { Settings } from '../../../plugins/kit/settings';

export * from '../../../plugins/kit/callbacks';

class Root extends FilterRoot {
  configure(_settings: Settings): void {}

  createContext(id: u32): Context {
    return new Noop(id, this);
  }
}

class Noop extends Filter {}

registerRootContext((id: u32): RootContext => new Root(id), 'bench');
