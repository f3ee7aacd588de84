// `sluice plugin`: what authors of filters do with them, without a gateway.

import { ERRORS, GatewayError, isGatewayError } from '../../core/index.ts';
import { type FlagSpec, Flags } from '../release/flags.ts';
import { inspect } from './inspect.ts';
import { makeProject } from './new.ts';
import { testPlugin } from './test.ts';

export const PLUGIN_FLAGS: Readonly<Record<string, FlagSpec>> = {
  json: { kind: 'switch', what: 'inspect: print JSON' },
  strict: { kind: 'switch', what: 'inspect: refuse unknown imports' },
  dir: { kind: 'value', what: '<folder> new: where to put the project (default: ./NAME)' },
};

type Action = (flags: Flags) => Promise<number> | number;

const ACTIONS: Readonly<Record<string, Action>> = {
  inspect: (flags) =>
    inspect(word(flags, 1, 'a module, like filter.wasm'), {
      form: flags.isSet('json') ? 'json' : 'text',
      imports: flags.isSet('strict') ? 'strict' : 'lax',
    }),
  test: (flags) =>
    testPlugin({
      module: word(flags, 1, 'a module, like filter.wasm'),
      cases: word(flags, 2, 'a file of cases, like cases.yaml'),
    }),
  new: (flags) => {
    const name = word(flags, 1, 'a name, like my-filter');
    return makeProject(name, flags.text('dir') ?? name);
  },
};

export const PLUGIN_ACTIONS = Object.keys(ACTIONS);

/** Yields the exit code: 0 fine, 1 failed, 2 wrong usage. */
export async function pluginCommand(argv: readonly string[]): Promise<number> {
  try {
    const flags = new Flags(argv, PLUGIN_FLAGS, { positionalsMax: 3 });
    const name = word(flags, 0, `one of ${PLUGIN_ACTIONS.join(', ')}`);
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (action === undefined) {
      const expected = `expected one of ${PLUGIN_ACTIONS.join(', ')}`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', `unknown action "${name}", ${expected}`);
    }
    return await action(flags);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    const { reason, title } = ERRORS[error.code];
    console.error(`${title}: ${error.detail} (${error.code}, reason ${reason})`);
    return error.code === 'GW_FLAG_BAD_VALUE' ? 2 : 1;
  }
}

function word(flags: Flags, index: number, expected: string): string {
  const found = flags.positionals[index];
  if (found !== undefined) return found;
  throw new GatewayError('GW_FLAG_BAD_VALUE', `missing, expected ${expected}`);
}
