// The admin API of a running gateway, for commands. A problem that it answers is the error that
// the command ends with, code and all.

import { createHash } from 'node:crypto';
import type { PluginChange, PluginPushed, PluginView } from '../../admin/index.ts';
import { ERRORS, type ErrorCode, GatewayError } from '../../core/index.ts';

export const ADMIN_URL = 'http://127.0.0.1:9901';
/** A token on a command line is everybody's who may list processes. */
export const TOKEN_VARIABLE = 'SLUICE_ADMIN_TOKEN';

/** A module of some MiB is compiled and tried in a second; the server itself gives up after 30. */
const ANSWER_MS_MAX = 60_000;

export class AdminClient {
  readonly #url: URL;
  readonly #token: string;

  /** `token`: `''` for none. Errors: GW_FLAG_BAD_VALUE for what is no URL of a server. */
  constructor(url: string, token: string) {
    const parsed = URL.canParse(url) ? new URL(url) : null;
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
      const detail = `--admin: found ${JSON.stringify(url)}, expected a URL like ${ADMIN_URL}`;
      throw new GatewayError('GW_FLAG_BAD_VALUE', detail);
    }
    this.#url = parsed;
    this.#token = token;
  }

  async plugins(): Promise<readonly PluginView[]> {
    const { plugins } = (await this.#ask('GET', '/plugins')) as { plugins: PluginView[] };
    return plugins;
  }

  async push(
    plugin: string,
    bytes: Uint8Array,
    { canary }: { readonly canary: string | null },
  ): Promise<PluginPushed> {
    const digest = createHash('sha256').update(bytes).digest('base64');
    const query = canary === null ? '' : `?canary=${encodeURIComponent(canary)}`;
    const path = `/plugins/${encodeURIComponent(plugin)}${query}`;
    const headers = { 'content-digest': `sha-256=:${digest}:`, 'content-type': 'application/wasm' };
    return (await this.#ask('PUT', path, { body: new Uint8Array(bytes), headers })) as PluginPushed;
  }

  async change(
    plugin: string,
    action: PluginChange['action'],
    fields: Readonly<Record<string, string>> = {},
  ): Promise<PluginView> {
    const path = `/plugins/${encodeURIComponent(plugin)}/${action}`;
    const headers = { 'content-type': 'application/json' };
    const body = Buffer.from(JSON.stringify(fields));
    return (await this.#ask('POST', path, { body, headers })) as PluginView;
  }

  async #ask(
    method: string,
    path: string,
    { body, headers = {} }: { body?: Uint8Array<ArrayBuffer>; headers?: object } = {},
  ): Promise<unknown> {
    const authorization = this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` };
    let response: Response;
    try {
      response = await fetch(new URL(path, this.#url), {
        method,
        headers: { ...headers, ...authorization },
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
    } catch (error) {
      const { cause, message } = error as Error;
      const why = cause instanceof Error ? cause.message : message;
      throw new GatewayError('GW_ADMIN_NOT_READY', `${this.#url.origin}: ${why}`, error);
    }
    const answer = await jsonOf(response);
    if (response.ok) return answer;
    throw problemOf(answer, `${this.#url.origin} answered ${response.status}`);
  }
}

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

function problemOf(answer: unknown, otherwise: string): GatewayError {
  const { code, detail } = (answer ?? {}) as { readonly code?: string; readonly detail?: string };
  const isKnown = code !== undefined && Object.hasOwn(ERRORS, code);
  return new GatewayError(
    isKnown ? (code as ErrorCode) : 'GW_ADMIN_NOT_READY',
    detail ?? otherwise,
  );
}
