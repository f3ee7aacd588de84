// The keys of the plugins: where a module comes from, what it is given, what it may take. A route
// names the plugins that see its requests.

import * as defaults from './defaults.ts';
import { choice, DURATION, HEADER_NAME, integer, NAME_OF, parsed, SIZE, text } from './leaves.ts';
import * as limits from './limits.ts';
import { PEM_FILE, withDefault } from './schema-common.ts';
import {
  byType,
  Complaint,
  dictionary,
  type Infer,
  isMap,
  leaf,
  list,
  mapped,
  object,
  optional,
  required,
  type Schema,
} from './schema-kit.ts';

const FLAG = leaf('true or false', { type: 'boolean' }, (value) =>
  typeof value === 'boolean' ? value : undefined,
);

const MODULE_URL = parsed(
  'an http:// or https:// URL of at most 2048 characters',
  { pattern: '^https?://', maxLength: 2_048 },
  (value) => {
    if (value.length > 2_048 || !/^https?:\/\//.test(value) || !URL.canParse(value)) {
      return undefined;
    }
    const { username, password } = new URL(value);
    const isOpen = username === '' && password === '';
    return isOpen ? value : new Complaint('expected a URL without credentials');
  },
);

const SHA256 = parsed(
  'a sha256 of 64 hexadecimal digits',
  { pattern: '^[0-9a-fA-F]{64}$' },
  (value) => (/^[0-9a-f]{64}$/i.test(value) ? value.toLowerCase() : undefined),
);

/** YAML says more than JSON does, and JSON.stringify would make something else of it. */
function isJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isJson);
  return !ArrayBuffer.isView(value) && (!isMap(value) || Object.values(value).every(isJson));
}

/** A text is given to the plugin as it is, everything else as JSON. Shape: that text. */
const ANYTHING: Schema<string> = leaf('any value', {}, (value) => {
  if (value === null) return new Complaint('found null; give it a value or delete the key');
  if (!isJson(value)) {
    return new Complaint('expected what JSON can say: no infinity, no NaN, no binary');
  }
  const found = typeof value === 'string' ? value : JSON.stringify(value);
  if (found.length <= limits.PLUGIN_CONFIG_SIZE_CHARS_MAX) return found;
  const limit = `the limit is ${limits.PLUGIN_CONFIG_SIZE_CHARS_MAX}`;
  return new Complaint(`a value of ${found.length} characters, ${limit}`, 'GW_CONFIG_LIMIT');
});

const VARIABLE = parsed(
  'a name of letters, digits and _',
  { pattern: '^[A-Za-z_][A-Za-z0-9_]*$', maxLength: 128 },
  (value) => (/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(value) ? value : undefined),
);

const ENVIRONMENT = dictionary(VARIABLE, text('a text', { sizeCharsMax: 4_096 }), {
  of: 'variables',
  countMax: limits.PLUGIN_VARIABLES_COUNT_MAX,
});

const CAPABILITY = parsed(
  '* or the name of a host function, like proxy_http_call',
  { pattern: '^(\\*|[a-z][a-z0-9_]*)$', maxLength: 64 },
  (value) => (/^(\*|[a-z][a-z0-9_]{0,63})$/.test(value) ? value : undefined),
);

const RELOAD = object('a map with base and max', {
  base: withDefault(DURATION, defaults.PLUGIN_RELOAD_BASE, 'first pause before a new instance'),
  max: withDefault(DURATION, defaults.PLUGIN_RELOAD_MAX, 'longest pause; each is twice the last'),
});

const MEMORY = mapped(SIZE, (size) =>
  size >= limits.PLUGIN_MEMORY_SIZE_BYTES_MIN && size <= limits.PLUGIN_MEMORY_SIZE_BYTES_MAX
    ? size
    : new Complaint(`expected 64KiB to 1GiB, found ${size} bytes`, 'GW_CONFIG_LIMIT'),
);

const BODY = mapped(SIZE, (size) =>
  size <= limits.PLUGIN_BODY_SIZE_BYTES_MAX
    ? size
    : new Complaint(`expected at most 1GiB, found ${size} bytes`, 'GW_CONFIG_LIMIT'),
);

const STEPS = integer({ min: 1_000, max: 2_000_000_000 });

const LIMITS = object('a map with memory, steps, startSteps, body and httpCalls', {
  memory: withDefault(MEMORY, defaults.PLUGIN_MEMORY, 'linear memory of an instance'),
  steps: withDefault(
    STEPS,
    defaults.PLUGIN_STEPS,
    'function entries and loop iterations of one callback',
  ),
  startSteps: withDefault(
    STEPS,
    defaults.PLUGIN_START_STEPS,
    'the same for each step of the start',
  ),
  body: withDefault(BODY, defaults.PLUGIN_BODY, 'what one request may have held in each direction'),
  httpCalls: withDefault(
    integer({ min: 0, max: limits.PLUGIN_CALLS_MAX }),
    defaults.PLUGIN_CALLS,
    'calls to services in flight, of an instance',
  ),
});

const TENANT = object('a map with header', {
  header: required(HEADER_NAME, 'header whose value says whose request it is'),
  max: withDefault(
    integer({ min: 1, max: limits.PLUGIN_TENANTS_COUNT_MAX }),
    defaults.PLUGIN_TENANTS,
    'instances in each io worker; the one that was used least recently goes first',
  ),
});

const PLUGIN = object('a map with name, and file or url', {
  name: required(NAME_OF, 'unique name'),
  file: optional(PEM_FILE, 'module, in a file; a reload takes a changed one'),
  url: optional(MODULE_URL, 'module, over HTTP; needs `sha256`'),
  sha256: optional(SHA256, 'what the module must be'),
  watch: withDefault(FLAG, false, 'whether a change of `file` is a reload; for development'),
  rootId: withDefault(
    text('a text', { sizeCharsMax: 256 }),
    '',
    'which of its roots the module runs',
  ),
  config: withDefault(
    ANYTHING,
    '',
    "the plugin's own configuration: a text as it is, anything else as JSON",
  ),
  vmConfig: withDefault(ANYTHING, '', 'configuration of the virtual machine, in the same forms'),
  vmId: withDefault(
    text('a text', { sizeCharsMax: 256 }),
    '',
    'plugins of one id share data and queues; those of one module and `vmConfig` without it',
  ),
  env: withDefault(ENVIRONMENT, {}, 'environment variables'),
  phase: withDefault(
    choice(['authn', 'authz', 'none', 'stats']),
    defaults.PLUGIN_PHASE,
    'order among the plugins of a route: `authn`, `authz`, `none`, `stats`',
  ),
  priority: withDefault(
    integer({ min: -1_000_000, max: 1_000_000 }),
    defaults.PLUGIN_PRIORITY,
    'order within a phase, the highest first; then by name',
  ),
  onFailure: withDefault(
    choice(['close', 'open', 'reload']),
    defaults.PLUGIN_ON_FAILURE,
    'close: an error; open: goes on without it; reload: an error, and a new instance at once',
  ),
  reload: withDefault(RELOAD, {}, 'pauses before a failed instance is replaced'),
  limits: withDefault(LIMITS, {}, 'what the plugin may take'),
  isolation: withDefault(
    choice(['shared', 'request', 'tenant']),
    defaults.PLUGIN_ISOLATION,
    'who shares an instance: all requests of an io worker, none, or those of one tenant',
  ),
  tenant: optional(TENANT, 'what a tenant is; for `isolation: tenant`'),
  capabilities: withDefault(
    list(CAPABILITY, { of: 'host functions', countMin: 0, countMax: 128 }),
    defaults.PLUGIN_CAPABILITIES,
    'host functions that the plugin may call; `*` for all',
  ),
  allowOnHeadersStopIteration: withDefault(
    FLAG,
    false,
    'whether body callbacks come while the plugin holds the headers',
  ),
  strict: withDefault(
    FLAG,
    false,
    'whether an unknown import is refused, or answers UNIMPLEMENTED; and whether a pushed module ' +
      'that is damaged refuses the start',
  ),
  background: withDefault(FLAG, false, 'a module with a root context alone, that sees no requests'),
  repeatedHeaders: withDefault(
    choice(['join', 'first']),
    defaults.PLUGIN_REPEATED_HEADERS,
    'what the plugin gets of a repeated header: all values joined by commas, or the first',
  ),
  upstreams: withDefault(
    dictionary(
      text('a name', { sizeCharsMax: 256 }),
      parsed('the name of a service', {}, (value) => value),
      { of: 'upstreams', countMax: limits.PLUGIN_UPSTREAMS_COUNT_MAX },
    ),
    {},
    'services by the names that the module has for them; others by their own',
  ),
});

export const PLUGINS = list(PLUGIN, {
  of: 'plugins',
  countMin: 0,
  countMax: limits.PLUGINS_COUNT_MAX,
});

const FILTER_NAME = parsed('the name of a plugin', {}, (value) => value);
const FILTER = object('a map with plugin', {
  plugin: required(FILTER_NAME, 'name under `plugins`'),
});

/** Shape: maps with `plugin`; a text is short for one. */
export const FILTERS = list(
  byType<Infer<typeof FILTER>>('the name of a plugin, or { plugin: NAME }', {
    string: mapped(FILTER_NAME, (plugin) => ({ plugin })),
    map: FILTER,
  }),
  { of: 'plugins', countMin: 0, countMax: limits.FILTERS_COUNT_MAX },
);

export type PluginValue = Infer<typeof PLUGIN>;

/** What a plugin is given, for other files than the configuration. */
export const PLUGIN_GIVEN = { config: ANYTHING, flag: FLAG, environment: ENVIRONMENT } as const;
