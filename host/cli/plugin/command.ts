// `sluice plugin`: what authors of filters do with them, without a gateway, and what operators do
// with those of a running one.

import { ERRORS, GatewayError, isGatewayError } from '../../core/index.ts';
import { type FlagSpec, Flags } from '../release/flags.ts';
import { ADMIN_URL, AdminClient, TOKEN_VARIABLE } from './admin-client.ts';
import { inspect } from './inspect.ts';
import { makeProject } from './new.ts';
import { canary, list, push, rollback } from './operate.ts';
import { testPlugin } from './test.ts';

export const PLUGIN_FLAGS: Readonly<Record<string, FlagSpec>> = {
  json: { kind: 'switch', what: 'inspect, list: print JSON' },
  strict: { kind: 'switch', what: 'inspect: refuse unknown imports' },
  dir: { kind: 'value', what: '<folder> new: where to put the project (default: ./NAME)' },
  name: { kind: 'value', what: '<name> push: the plugin (default: the file without .wasm)' },
  canary: { kind: 'value', what: '<share> push: for this share of requests, such as 5%' },
  admin: { kind: 'value', what: `<url> the gateway's admin API (default: ${ADMIN_URL})` },
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
  push: (flags) =>
    said(
      push(clientOf(flags), {
        file: word(flags, 1, 'a module, like filter.wasm'),
        name: flags.text('name'),
        canary: flags.text('canary'),
      }),
    ),
  list: (flags) => said(list(clientOf(flags), flags.isSet('json') ? 'json' : 'text')),
  rollback: (flags) => said(rollback(clientOf(flags), word(flags, 1, "a plugin's name"))),
  canary: (flags) => {
    const plugin = word(flags, 1, "a plugin's name");
    return said(canary(clientOf(flags), plugin, word(flags, 2, '5%, promote or abort')));
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

function clientOf(flags: Flags): AdminClient {
  return new AdminClient(flags.text('admin') ?? ADMIN_URL, process.env[TOKEN_VARIABLE] ?? '');
}

async function said(text: Promise<string>): Promise<number> {
  console.log(await text);
  return 0;
}

function word(flags: Flags, index: number, expected: string): string {
  const found = flags.positionals[index];
  if (found !== undefined) return found;
  throw new GatewayError('GW_FLAG_BAD_VALUE', `missing, expected ${expected}`);
}
