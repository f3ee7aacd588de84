// A task of the compute pool: a plugin's file, loaded, metered, compiled and tried once, so that
// what reaches the io workers is known to start.

import { readFileSync } from 'node:fs';
import type { PluginConfig } from '../config/index.ts';
import { type ErrorCode, GatewayError, isGatewayError, systemClock } from '../core/index.ts';
import {
  loadModule,
  PluginBook,
  type PluginModule,
  type PluginSpec,
  pluginSpec,
  threadServices,
} from '../proxywasm/index.ts';

/** A plugin as every io worker gets it. */
export interface InstalledPlugin {
  /** The same for the same module and configuration. */
  readonly key: string;
  readonly spec: PluginSpec;
  readonly module: PluginModule;
}

export type PluginOutcome =
  | { readonly ok: true; readonly plugin: InstalledPlugin }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** An error loses its code on the way between threads, so it travels as data. */
export function runPluginTask(config: PluginConfig): PluginOutcome {
  try {
    return { ok: true, plugin: load(config) };
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return { ok: false, code: error.code, detail: `plugin ${config.name}: ${error.detail}` };
  }
}

function load(config: PluginConfig): InstalledPlugin {
  const spec = specOf(config);
  const module = loadModule(readModule(config), {
    sha256: config.sha256,
    memorySizeBytesMax: spec.limits.memorySizeBytes,
    strictImports: spec.strictImports,
  });
  const lines: string[] = [];
  const canary = new PluginBook(
    threadServices({
      clock: systemClock,
      log: ({ message }) => lines.push(message),
      logLevel: 'error',
      services: { knows: () => true, call: () => () => {} },
    }),
  );
  try {
    canary.install(spec, module);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    const said = lines.length === 0 ? '' : `; it said: ${lines.slice(-3).join(' | ')}`;
    throw new GatewayError(error.code, `${error.detail}${said}`, error);
  } finally {
    canary.close();
  }
  return { key: JSON.stringify([config, module.report.sha256]), spec, module };
}

function readModule({ file, url }: PluginConfig): Uint8Array<ArrayBuffer> {
  if (file === '') throw new GatewayError('GW_PLUGIN_FILE', `${url} is not fetched yet`);
  try {
    return new Uint8Array(readFileSync(file));
  } catch (error) {
    throw new GatewayError('GW_PLUGIN_FILE', `${file}: ${(error as Error).message}`, error);
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
