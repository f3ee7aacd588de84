// Questions about plugins that need two keys at once.

import { type PathPart, type Report, suggestion } from './issue.ts';
import type { PluginValue } from './schema-plugins.ts';

/** Checks each plugin. `services`: undefined where they could not be read. */
export function checkPlugins(
  plugins: readonly (PluginValue | undefined)[],
  services: ReadonlyMap<string, unknown> | undefined,
  report: Report,
): void {
  const names = new Map<string, number>();
  for (const [index, plugin] of plugins.entries()) {
    if (plugin === undefined) continue;
    const at = ['plugins', index] as const;
    const namesake = names.get(plugin.name);
    if (namesake !== undefined) {
      const message = `the name ${plugin.name} is taken by plugins[${namesake}]`;
      report.value([...at, 'name'], 'GW_CONFIG_CONFLICT', message);
    } else names.set(plugin.name, index);
    checkSource(at, plugin, report);
    checkTenant(at, plugin, report);
    checkUpstreams(at, plugin, services, report);
    if (plugin.reload.base > plugin.reload.max) {
      const message = `base is ${plugin.reload.base}ms, longer than max, ${plugin.reload.max}ms`;
      report.value([...at, 'reload'], 'GW_CONFIG_CONFLICT', message);
    }
  }
}

function checkSource(at: readonly PathPart[], plugin: PluginValue, report: Report): void {
  if (plugin.file === undefined && plugin.url === undefined) {
    const message = 'missing; expected file or url';
    report.missing([...at, 'file'], 'GW_CONFIG_MISSING', message);
  } else if (plugin.file !== undefined && plugin.url !== undefined) {
    const message = 'expected one of file and url, found both';
    report.key([...at, 'url'], 'GW_CONFIG_CONFLICT', message);
  } else if (plugin.url !== undefined && plugin.sha256 === undefined) {
    const message = 'missing; what comes from a url is run only when its hash is known';
    report.missing([...at, 'sha256'], 'GW_CONFIG_CONFLICT', message);
  }
  if (plugin.watch && plugin.file === undefined) {
    const message = 'only a file can be watched; expected file';
    report.key([...at, 'watch'], 'GW_CONFIG_CONFLICT', message);
  }
}

function checkTenant(at: readonly PathPart[], plugin: PluginValue, report: Report): void {
  const isTenant = plugin.isolation === 'tenant';
  if (isTenant && plugin.tenant === undefined) {
    const message = 'missing; isolation: tenant needs to know what a tenant is';
    report.missing([...at, 'tenant'], 'GW_CONFIG_CONFLICT', message);
  }
  if (!isTenant && plugin.tenant !== undefined) {
    const message = `isolation: ${plugin.isolation} has no tenants; expected isolation: tenant`;
    report.key([...at, 'tenant'], 'GW_CONFIG_CONFLICT', message);
  }
}

function checkUpstreams(
  at: readonly PathPart[],
  plugin: PluginValue,
  services: ReadonlyMap<string, unknown> | undefined,
  report: Report,
): void {
  if (services === undefined) return;
  for (const [alias, service] of plugin.upstreams) {
    if (services.has(service)) continue;
    const hint = suggestion(service, services.keys());
    const message = `no service is called ${JSON.stringify(service)}${hint}`;
    report.value([...at, 'upstreams', alias], 'GW_CONFIG_BAD_VALUE', message);
  }
}

/** Checks the plugins that a route names. */
export function checkFilters(
  at: readonly PathPart[],
  filters: readonly { readonly plugin: string }[],
  plugins: ReadonlyMap<string, PluginValue>,
  report: Report,
): void {
  const seen = new Set<string>();
  for (const [index, { plugin: name }] of filters.entries()) {
    const path = [...at, 'filters', index, 'plugin'];
    const plugin = plugins.get(name);
    if (plugin === undefined) {
      const hint = suggestion(name, plugins.keys());
      const message = `no plugin is called ${JSON.stringify(name)}${hint}`;
      report.value(path, 'GW_CONFIG_BAD_VALUE', message);
    } else if (plugin.background) {
      const message = `${name} is a background plugin: it sees no requests`;
      report.value(path, 'GW_CONFIG_CONFLICT', message);
    }
    if (seen.has(name)) {
      report.value(path, 'GW_CONFIG_CONFLICT', `the plugin ${name} stands twice`);
    }
    seen.add(name);
  }
}
