// A task of the compute pool: a plugin's module, loaded, metered, compiled and tried once, so that
// what reaches the io workers is known to start. What is known already is neither compiled nor
// tried again.

import { createHash } from 'node:crypto';
import type { PluginConfig } from '../../config/index.ts';
import { type ErrorCode, GatewayError, isGatewayError, systemClock } from '../../core/index.ts';
import {
  loadModule,
  PluginBook,
  type PluginModule,
  type PluginSpec,
  pluginSpec,
  threadServices,
} from '../../proxywasm/index.ts';
import { configuredModule } from './module-source.ts';
import { PluginStore } from './plugin-store.ts';

/** Of what a module logged before it did not start: the end says why, and none says all. */
const SAID_LINES_MAX = 3;
const SAID_LENGTH_MAX = 1_000;
const NO_BYTES = new Uint8Array(0);

/** A plugin as every io worker gets it. */
export interface InstalledPlugin {
  /** The same for the same module and configuration. */
  readonly key: string;
  readonly spec: PluginSpec;
  readonly module: PluginModule;
}

export interface PluginTask {
  readonly config: PluginConfig;
  /** The folder of modules. */
  readonly dir: string;
  readonly source: ModuleSource;
  /** What was loaded before under the same limits; not compiled again where it is one of them. */
  readonly known: readonly PluginModule[];
  /** Of what runs: what comes to the same key is not tried again; `''` for nothing. */
  readonly runningKey: string;
}

export type ModuleSource =
  /** The file or URL that the configuration names. */
  | { readonly kind: 'configured' }
  /** A module of the folder. */
  | { readonly kind: 'stored'; readonly sha256: string }
  /** Put into the folder when it is good. `sha256`: what it must be; `''` for any. */
  | { readonly kind: 'pushed'; readonly bytes: Uint8Array; readonly sha256: string };

/** `plugin`: null for what runs already. */
export type PluginOutcome =
  | { readonly ok: true; readonly plugin: InstalledPlugin | null }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** An error loses its code on the way between threads, so it travels as data. */
export async function runPluginTask(task: PluginTask): Promise<PluginOutcome> {
  try {
    return { ok: true, plugin: await load(task) };
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return { ok: false, code: error.code, detail: `plugin ${task.config.name}: ${error.detail}` };
  }
}

async function load({ config, dir, source, known, runningKey }: PluginTask) {
  const store = new PluginStore(dir);
  const { bytes, sha256, isKept } = await readHashed({ config, source, known }, store);
  const key = JSON.stringify([config, sha256]);
  if (key === runningKey) return null;
  const spec = specOf(config);
  const module =
    moduleOf(known, sha256) ??
    loadModule(bytes, {
      sha256,
      memorySizeBytesMax: spec.limits.memorySizeBytes,
      strictImports: spec.strictImports,
    });
  tryOut(spec, module);
  if (!isKept) store.writeModule(sha256, bytes);
  return { key, spec, module };
}

async function readHashed(
  { config, source, known }: Pick<PluginTask, 'config' | 'source' | 'known'>,
  store: PluginStore,
) {
  // What is in memory needs no file any more: whatever has become of it, it runs on.
  if (source.kind === 'stored' && moduleOf(known, source.sha256) !== undefined) {
    return { bytes: NO_BYTES, sha256: source.sha256, isKept: true };
  }
  const { bytes, expected, isKept } = await read(config, source, store);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (expected !== '' && expected.toLowerCase() !== sha256) {
    throw new GatewayError('GW_PLUGIN_HASH', `it is ${sha256}, expected ${expected}`);
  }
  return { bytes, sha256, isKept };
}

async function read(config: PluginConfig, source: ModuleSource, store: PluginStore) {
  if (source.kind === 'configured') {
    return { ...(await configuredModule(config, store)), expected: config.sha256 };
  }
  if (source.kind === 'pushed') {
    const bytes = new Uint8Array(source.bytes);
    return { bytes, expected: source.sha256, isKept: false };
  }
  const bytes = store.readModule(source.sha256);
  if (bytes !== null) return { bytes, expected: source.sha256, isKept: true };
  const detail = `${store.modulePath(source.sha256)} is not there any more`;
  throw new GatewayError('GW_PLUGIN_STORE', detail);
}

function moduleOf(known: readonly PluginModule[], sha256: string): PluginModule | undefined {
  return known.find(({ report }) => report.sha256 === sha256);
}

/** Starts and configures an instance, and drops it. Errors: GW_PLUGIN_START, with what it said. */
function tryOut(spec: PluginSpec, module: PluginModule): void {
  const lines: string[] = [];
  const trial = new PluginBook(
    threadServices({
      clock: systemClock,
      log: ({ message }) => lines.push(message),
      logLevel: 'error',
      services: {
        knows: () => true,
        call: () => () => {},
        grpc: () => ({ waitingSizeBytes: 0, send: () => true, end() {}, cancel() {} }),
      },
    }),
  );
  try {
    trial.install(spec, module);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    // The host's own line about a death says the same, and in which functions.
    const why = lines.find((line) => line.startsWith(error.detail)) ?? error.detail;
    const said = lines.filter((line) => line !== why).slice(-SAID_LINES_MAX);
    const shown = said.map((line) => line.slice(0, SAID_LENGTH_MAX)).join(' | ');
    const detail = shown === '' ? why : `${why}; it said: ${shown}`;
    throw new GatewayError(error.code, detail, error);
  } finally {
    trial.close();
  }
}

function specOf(config: PluginConfig): PluginSpec {
  const { isolation, tenant } = config;
  return pluginSpec({
    name: config.name,
    rootId: config.rootId,
    vmId: config.vmId,
    config: new TextEncoder().encode(config.config),
    vmConfig: new TextEncoder().encode(config.vmConfig),
    env: config.env,
    phase: config.phase === 'none' ? 'unspecified' : config.phase,
    priority: config.priority,
    onFailure: config.onFailure,
    reload: config.reload,
    limits: config.limits,
    isolation:
      isolation === 'tenant'
        ? { kind: 'tenant', header: tenant!.header, countMax: tenant!.countMax }
        : { kind: isolation },
    capabilities: config.capabilities,
    allowOnHeadersStopIteration: config.allowOnHeadersStopIteration,
    strictImports: config.strict,
    background: config.background,
    repeatedHeaders: config.repeatedHeaders,
    upstreams: config.upstreams,
  });
}
