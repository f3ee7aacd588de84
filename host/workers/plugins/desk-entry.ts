// What the desk knows of a plugin of the configuration, as plain data, and what is asked of it.

import type { PluginConfig } from '../../config/index.ts';
import { GatewayError } from '../../core/index.ts';
import type { Trial } from './canary-rule.ts';
import type { InstalledPlugin, ModuleSource } from './plugin-task.ts';
import type { PublishedPlugin } from './published.ts';
import type { CanaryEnd, PluginState } from './pushed-state.ts';

/** A plugin of the configuration in force. */
export interface DeskEntry {
  readonly config: PluginConfig;
  readonly state: PluginState;
  readonly isPushed: boolean;
  /** What was pushed and cannot be read any more, so that something else runs; `''` for nothing. */
  readonly damage: string;
  readonly current: InstalledPlugin;
  readonly canary: RunningCanary | null;
  /** When the current module began. Units: ms since the Unix epoch. */
  readonly sinceMs: number;
  /** How long the last switch of all workers took; 0 before the first. */
  readonly switchMs: number;
}

export interface RunningCanary {
  readonly plugin: InstalledPlugin;
  readonly share: number;
  readonly sinceMs: number;
  /** What both had counted when it began. */
  readonly before: { readonly canary: Trial; readonly current: Trial };
}

/** What a push has come to. */
export interface PushOutcome {
  readonly sha256: string;
  /** What ran before, and with a canary still runs. */
  readonly previous: string;
  readonly canaryShare: number | null;
  readonly switchMs: number;
  /** It runs already, and was pushed: nothing was done. */
  readonly isUnchanged: boolean;
}

export interface DeskCounts {
  readonly pushesTaken: number;
  readonly pushesRefused: number;
  readonly rollbacks: number;
  readonly canaries: Readonly<Record<CanaryEnd['outcome'], number>>;
  /** Changes that all workers have taken. */
  readonly switches: { readonly count: number; readonly sumMs: number };
}

/** What the io workers get. */
export function publishedOf(entries: ReadonlyMap<string, DeskEntry>): readonly PublishedPlugin[] {
  return [...entries.values()].map(({ current, canary }) => ({
    ...current,
    canary: canary === null ? null : { ...canary.plugin, share: canary.share },
  }));
}

/** The hash that a plugin is pinned to; `''` for none. */
export function pinOf({ file, sha256 }: PluginConfig): string {
  return file === '' ? '' : sha256;
}

/** What runs of these: the last, or what the configuration names. */
export function sourceOf(versions: PluginState['versions']): ModuleSource {
  const last = versions.at(-1);
  return last === undefined ? { kind: 'configured' } : { kind: 'stored', sha256: last.sha256 };
}

/** Errors: GW_PLUGIN_CONFLICT where there is none. */
export function canaryOf({ config, canary }: DeskEntry): RunningCanary {
  if (canary !== null) return canary;
  throw new GatewayError('GW_PLUGIN_CONFLICT', `${config.name} has no canary`);
}
