// From a checked plugin to the one that everything runs on.

import type { PluginConfig } from './model.ts';
import type { PluginValue } from './schema-plugins.ts';

/** `resolve` makes a file's name one that does not depend on the folder; `''` for none. */
export function normalisePlugin(
  file: PluginValue,
  resolve: (name: string | undefined) => string,
): PluginConfig {
  const { name, rootId, vmId, config, vmConfig, phase, priority, onFailure, isolation } = file;
  const { capabilities, allowOnHeadersStopIteration, strict, background, repeatedHeaders } = file;
  const { memory, steps, startSteps, body, httpCalls } = file.limits;
  const tenant =
    file.tenant === undefined
      ? null
      : Object.freeze({ header: file.tenant.header, countMax: file.tenant.max });
  return Object.freeze({
    name,
    file: resolve(file.file),
    url: file.url ?? '',
    sha256: file.sha256 ?? '',
    watch: file.watch,
    rootId,
    vmId,
    config,
    vmConfig,
    env: Object.freeze(Object.fromEntries(file.env)),
    phase,
    priority,
    onFailure,
    reload: Object.freeze({ baseMs: file.reload.base, maxMs: file.reload.max }),
    limits: Object.freeze({
      memorySizeBytes: memory,
      steps,
      startSteps,
      bodySizeBytes: body,
      callsMax: httpCalls,
    }),
    isolation,
    tenant,
    capabilities: Object.freeze(capabilities),
    allowOnHeadersStopIteration,
    strict,
    background,
    repeatedHeaders,
    upstreams: Object.freeze(Object.fromEntries(file.upstreams)),
  });
}
