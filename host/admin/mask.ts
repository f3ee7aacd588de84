// The configuration as the admin API shows it: the same shape, without what would open a door.

const MASK = '********';
/** What a plugin is given may hold keys, and only the plugin knows where. */
const SECRET_KEY = /^(token|password|secret|privateKey|signingKey|config|vmConfig)$/i;
const SECRET_HEADER = /authorization|cookie|token|secret|password|api-?key/i;
const PRIVATE_PEM = /PRIVATE KEY/;
const DEPTH_MAX = 32;

/** A copy with secrets replaced: tokens, private keys in PEM, values of credential headers. */
export function maskSecrets(value: unknown): unknown {
  return masked(value, DEPTH_MAX);
}

function masked(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return PRIVATE_PEM.test(value) ? MASK : value;
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return null;
  if (Array.isArray(value)) return maskedList(value, depth);
  const isSecretField =
    'name' in value && typeof value.name === 'string' && SECRET_HEADER.test(value.name);
  const copy: Record<string, unknown> = {};
  const isPlugin = 'vmConfig' in value && 'env' in value;
  for (const [key, inner] of Object.entries(value)) {
    const isSecret = SECRET_KEY.test(key) || (isSecretField && key === 'value');
    if (isPlugin && key === 'env') copy[key] = maskedValues(inner);
    else
      copy[key] =
        isSecret && typeof inner === 'string' && inner !== '' ? MASK : masked(inner, depth - 1);
  }
  return copy;
}

/** The names of environment variables, without their values. */
function maskedValues(env: unknown): unknown {
  return Object.fromEntries(Object.keys(env ?? {}).map((name) => [name, MASK]));
}

/** Header lists are flat: [name, value, name, value, ...]. */
function maskedList(list: readonly unknown[], depth: number): unknown[] {
  const isFlat = list.length % 2 === 0 && list.every((item) => typeof item === 'string');
  return list.map((item, index) => {
    const name = isFlat && index % 2 === 1 ? String(list[index - 1]) : '';
    return SECRET_HEADER.test(name) ? MASK : masked(item, depth - 1);
  });
}
