// The scalars of the configuration: durations, sizes, names, addresses, hosts, headers. Each says
// what it expects, once, for the error message, the JSON Schema and the documentation.

import ipaddr from 'ipaddr.js';
import {
  AUTHORITY_SIZE_BYTES_MAX,
  isHeaderValue,
  isToken,
  parseDurationMs,
  parseSizeBytes,
} from '../core/index.ts';
import { showValue } from './issue.ts';
import {
  BODY_LIMIT_SIZE_BYTES_MAX,
  DURATION_MS_MAX,
  DURATION_MS_MIN,
  HEADER_VALUE_SIZE_CHARS_MAX,
  NAME_SIZE_CHARS_MAX,
  RETENTION_MS_MAX,
} from './limits.ts';
import type { KeySource } from './model.ts';
import { Complaint, leaf, type Schema } from './schema-kit.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const HOST_LABEL = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/;

/** Texts a person forgot to quote: YAML reads `2` as a number and `yes: true` as a boolean. */
function quoteHint(value: unknown): Complaint | undefined {
  if (typeof value !== 'number' && typeof value !== 'boolean') return undefined;
  const found = String(value);
  return new Complaint(`expected text, found ${found}; put it in quotes: "${found}"`);
}

/** Free text of bounded size that survives UTF-8. */
export function text(expected: string, options: { readonly sizeCharsMax: number }): Schema<string> {
  const json = { type: 'string', maxLength: options.sizeCharsMax };
  return leaf(expected, json, (value) => {
    if (typeof value !== 'string') return quoteHint(value);
    if (value.length > options.sizeCharsMax) {
      const limit = `the limit is ${options.sizeCharsMax}`;
      return new Complaint(`a text of ${value.length} characters, ${limit}`, 'GW_CONFIG_LIMIT');
    }
    if (/[\p{Surrogate}\0]/u.test(value)) {
      return new Complaint('the text holds a NUL or half a character');
    }
    return value;
  });
}

/** Text that a further parser reads. */
export function parsed<T>(
  expected: string,
  json: Readonly<Record<string, unknown>>,
  parse: (value: string) => T | Complaint | undefined,
): Schema<T> {
  return leaf(expected, { type: 'string', ...json }, (value) =>
    typeof value === 'string' ? parse(value) : quoteHint(value),
  );
}

/** A number with a unit. Quotes would not help one without: it says what is expected instead. */
function measure(expected: string, pattern: string, parse: (value: string) => number | undefined) {
  return leaf(expected, { type: 'string', pattern }, (value) =>
    typeof value === 'string' ? parse(value) : undefined,
  );
}

/** One word of a few. */
export function choice<const W extends string>(words: readonly W[]): Schema<W> {
  const expected = `one of ${words.join(', ')}`;
  return leaf(expected, { enum: words }, (value) => words.find((word) => word === value));
}

/** A whole number in a range. */
export function integer(options: { readonly min: number; readonly max: number }): Schema<number> {
  const expected = `a whole number from ${options.min} to ${options.max}`;
  const json = { type: 'integer', minimum: options.min, maximum: options.max };
  return leaf(expected, json, (value) =>
    Number.isInteger(value) && (value as number) >= options.min && (value as number) <= options.max
      ? (value as number) + 0
      : undefined,
  );
}

/** A number of a few. */
export function oneNumber(numbers: readonly number[]): Schema<number> {
  const expected = `one of ${numbers.join(', ')}`;
  return leaf(expected, { enum: numbers }, (value) => numbers.find((number) => number === value));
}

/** A duration. Units: ms. */
export const DURATION: Schema<number> = measure(
  'a duration from 1ms to 24h, like 50ms, 5s, 1m',
  '^[0-9]+(\\.[0-9]{1,3})?(ms|s|m|h)$',
  (value) => {
    const parsedMs = parseDurationMs(value);
    // 1.001s is 1000.9999999999999 as a product of doubles.
    const durationMs = parsedMs === null ? Number.NaN : Math.round(parsedMs * 1000) / 1000;
    if (!Number.isInteger(durationMs)) return undefined;
    return durationMs >= DURATION_MS_MIN && durationMs <= DURATION_MS_MAX ? durationMs : undefined;
  },
);

/** How long something is kept, which no timer waits for; `0s` for not at all. Units: ms. */
export const RETENTION: Schema<number> = measure(
  'a duration from 0s to 8760h, like 0s, 30m, 24h, 168h',
  '^[0-9]+(\\.[0-9]{1,3})?(ms|s|m|h)$',
  (value) => {
    const durationMs = Math.round(parseDurationMs(value) ?? Number.NaN);
    return durationMs <= RETENTION_MS_MAX ? durationMs : undefined;
  },
);

/** A size. Units: bytes. */
export const SIZE: Schema<number> = measure(
  'a size up to 1048576GiB, like 64KiB, 16MiB, 1GiB',
  '^[0-9]+(\\.[0-9]{1,3})?(B|KiB|MiB|GiB)$',
  (value) => {
    const sizeBytes = parseSizeBytes(value);
    return sizeBytes === null || sizeBytes > BODY_LIMIT_SIZE_BYTES_MAX ? undefined : sizeBytes;
  },
);

/** A name of ours: of a service, a route, a rate limit. It becomes a metric label. */
export const NAME_OF: Schema<string> = parsed(
  `a name of letters, digits, . _ - and at most ${NAME_SIZE_CHARS_MAX} characters`,
  { pattern: NAME.source, maxLength: NAME_SIZE_CHARS_MAX },
  (value) => (NAME.test(value) && value.length <= NAME_SIZE_CHARS_MAX ? value : undefined),
);

/** A header's name. Shape: a token in lower case. */
export const HEADER_NAME: Schema<string> = parsed(
  'a header name: letters, digits and hyphens',
  { pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", maxLength: 256 },
  (value) => (isToken(value) && value.length <= 256 ? value.toLowerCase() : undefined),
);

/** A header's value: text that cannot split a message, and is sent as UTF-8. */
export const HEADER_VALUE: Schema<string> = parsed(
  `a header value of at most ${HEADER_VALUE_SIZE_CHARS_MAX} characters, none of them control`,
  { maxLength: HEADER_VALUE_SIZE_CHARS_MAX },
  (value) => {
    if (value.length > HEADER_VALUE_SIZE_CHARS_MAX || !isHeaderValue(value)) return undefined;
    if (/\p{Surrogate}/u.test(value)) {
      return new Complaint(`expected characters that UTF-8 has, found ${showValue(value)}`);
    }
    return value.trim() === value ? value : new Complaint('a header value is trimmed on the wire');
  },
);

const METHOD_EXAMPLES = 'a method in upper case, like GET';

/** A method that a route may name. */
export const METHOD: Schema<string> = parsed(METHOD_EXAMPLES, { maxLength: 32 }, (value) => {
  if (!isToken(value) || value.length > 32) return undefined;
  if (value !== value.toUpperCase()) {
    return new Complaint(
      `expected ${METHOD_EXAMPLES}, found "${value}"; did you mean "${value.toUpperCase()}"?`,
    );
  }
  if (value === 'CONNECT' || value === 'TRACE') {
    return new Complaint(`${value} is never proxied: it would reach past the gateway`);
  }
  return value;
});

/** Whether a text is a host name or an address as a Host header would say it, without a port. */
export function isHost(host: string): boolean {
  if (host.startsWith('[')) return host.endsWith(']') && ipaddr.IPv6.isValid(host.slice(1, -1));
  if (host === '' || host.length > 253) return false;
  const labels = host.split('.');
  return labels.every((label) => label.length <= 63 && HOST_LABEL.test(label));
}

/** The host that a route matches. Shape: lower case, `*.` only as the first label. */
export const HOST_PATTERN: Schema<string> = parsed(
  'a host name like example.com or *.example.com',
  { maxLength: 255 },
  (value) => {
    const host = value.toLowerCase();
    if (/:\d+$/.test(host) && isHost(host.replace(/:\d+$/, ''))) {
      return new Complaint(`expected a host without its port, found ${JSON.stringify(value)}`);
    }
    if (host.startsWith('*.')) return isHost(host.slice(2)) ? host : undefined;
    if (host.includes('*')) {
      return new Complaint(`expected * only as the first label, found ${JSON.stringify(value)}`);
    }
    return isHost(host) ? host : undefined;
  },
);

/** A host that a rewrite sends: `{upstream}`, or a host with an optional port. */
export const REWRITE_HOST: Schema<string> = parsed(
  '{upstream}, or a host with an optional port',
  { maxLength: AUTHORITY_SIZE_BYTES_MAX },
  (value) => {
    if (value === '{upstream}') return value;
    const host = value.toLowerCase();
    const port = /:(\d{1,5})$/.exec(host)?.[1];
    if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return undefined;
    return isHost(host.replace(/:\d{1,5}$/, '')) ? host : undefined;
  },
);

/** An address to listen on. */
export const ADDRESS: Schema<string> = parsed(
  'an IP address to listen on, like 0.0.0.0, 127.0.0.1, ::1, or localhost',
  {},
  (value) => (value === 'localhost' || isAddress(value) ? value : undefined),
);

/** ipaddr.js alone takes `1` and `0x7f.1` too, which no person means. */
function isAddress(value: string): boolean {
  return (
    ipaddr.IPv4.isValidFourPartDecimal(value) || (value.includes(':') && ipaddr.IPv6.isValid(value))
  );
}

/** A network. Shape: CIDR; one address becomes /32 or /128. */
export const CIDR: Schema<string> = parsed(
  'a network like 10.0.0.0/8 or fd00::/8, or one address',
  {},
  (value) => {
    const [address, length, rest] = value.split('/');
    if (rest !== undefined || !isAddress(address!)) return undefined;
    const parsedAddress = ipaddr.parse(address!);
    const bits = parsedAddress.kind() === 'ipv4' ? 32 : 128;
    if (length === undefined) return `${parsedAddress.toString()}/${bits}`;
    if (!/^\d{1,3}$/.test(length) || Number(length) > bits) return undefined;
    const normal = `${parsedAddress.toString()}/${Number(length)}`;
    const network =
      parsedAddress.kind() === 'ipv4'
        ? ipaddr.IPv4.networkAddressFromCIDR(normal).toString()
        : ipaddr.IPv6.networkAddressFromCIDR(normal).toString();
    if (network === parsedAddress.toString()) return normal;
    return new Complaint(
      `${value} has bits set behind its prefix; did you mean ${network}/${Number(length)}?`,
    );
  },
);

/** Where a key comes from. `client.ip`, `header:N`, `cookie:N`, `path:N`, and `route`. */
export function keySource(options: { readonly isRouteAllowed: boolean }): Schema<KeySource> {
  const forms = 'client.ip, header:NAME, cookie:NAME, path:NAME';
  const expected = `one of ${forms}${options.isRouteAllowed ? ', route' : ''}`;
  const route = options.isRouteAllowed ? '|route' : '';
  const pattern = `^(client\\.ip${route}|(header|cookie|path):.+)$`;
  return parsed(expected, { pattern }, (value) => {
    if (value === 'client.ip') return { kind: value, name: '' };
    if (value === 'route' && options.isRouteAllowed) return { kind: value, name: '' };
    const found = /^(header|cookie|path):(.{1,256})$/.exec(value);
    if (found === null) return undefined;
    const name = found[2]!;
    if (found[1] === 'path') return { kind: 'path', name: name.replace(/^\{(.*)\}$/, '$1') };
    if (!isToken(name)) return undefined;
    return found[1] === 'header'
      ? { kind: 'header', name: name.toLowerCase() }
      : { kind: 'cookie', name };
  });
}

export interface EndpointUrl {
  readonly protocol: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly authority: string;
}

/** An endpoint: scheme, host and port, and nothing else. */
export const ENDPOINT_URL: Schema<EndpointUrl> = parsed(
  'a URL like http://10.0.0.1:8080 or https://wallet.internal',
  { pattern: '^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+/?$' },
  (value) => {
    const found = /^(https?):\/\/(.*)$/i.exec(value);
    if (found === null || !URL.canParse(value)) return undefined;
    const url = new URL(value);
    if (url.username !== '' || url.password !== '' || found[2]!.includes('@')) {
      return new Complaint('an endpoint takes no credentials; set a header on the route instead');
    }
    if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || /[?#]/.test(value)) {
      const hint = "use the route's rewrite instead";
      return new Complaint(`expected no path, query or fragment in ${showValue(value)}; ${hint}`);
    }
    const protocol = url.protocol === 'https:' ? 'https' : 'http';
    if (url.port === '0' || !isHost(url.hostname)) return undefined;
    const port = url.port === '' ? (protocol === 'https' ? 443 : 80) : Number(url.port);
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    return { protocol, host, port, authority: url.host };
  },
);
