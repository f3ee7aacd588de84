// What was pushed for a plugin, in which order, and what became of its canaries: the plain data
// that the plugin folder keeps, and the changes of it.

export interface PushedVersion {
  readonly sha256: string;
  /** Units: ms since the Unix epoch. */
  readonly pushedMs: number;
}

/** How a canary ended. */
export interface CanaryEnd {
  readonly sha256: string;
  readonly outcome: 'promoted' | 'aborted' | 'rolled-back' | 'replaced';
  readonly why: string;
  readonly endedMs: number;
}

export interface PluginState {
  /** What was pushed, the last in force; none while the configuration's own module runs. */
  readonly versions: readonly PushedVersion[];
  readonly canary: (PushedVersion & { readonly share: number }) | null;
  /** Canaries that ended, the last one last. */
  readonly endedCanaries: readonly CanaryEnd[];
}

export const NOTHING_PUSHED: PluginState = { versions: [], canary: null, endedCanaries: [] };
/** Versions that a plugin can go back to; older ones are forgotten. */
export const VERSIONS_COUNT_MAX = 10;
/** Canaries that are remembered; older ones are forgotten. */
export const ENDED_CANARIES_COUNT_MAX = 10;

const HASH = /^[0-9a-f]{64}$/;
/** 2: `endedCanaries`, where 1 had `lastCanary` alone. */
const FORMAT = 2;
const OUTCOMES: readonly unknown[] = ['promoted', 'aborted', 'rolled-back', 'replaced'];

export function pushedOnto(
  { versions }: PluginState,
  version: PushedVersion,
): readonly PushedVersion[] {
  return [...versions, version].slice(-VERSIONS_COUNT_MAX);
}

/** Without its canary, which ended so; null: there was none. */
export function endedState(state: PluginState, end: CanaryEnd | null): PluginState {
  if (end === null) return state;
  const endedCanaries = [...state.endedCanaries, end].slice(-ENDED_CANARIES_COUNT_MAX);
  return { ...state, canary: null, endedCanaries };
}

export function formatState(state: PluginState): string {
  return `${JSON.stringify({ format: FORMAT, ...state }, null, 2)}\n`;
}

/** Null for what is not a state. */
export function parseState(text: string): PluginState | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value) || !Array.isArray(value.versions)) return null;
  const { versions, canary } = value;
  const endedCanaries = endedIn(value);
  if (versions.length > VERSIONS_COUNT_MAX || !versions.every(isVersion)) return null;
  if (canary !== null && !isCanary(canary)) return null;
  if (endedCanaries.length > ENDED_CANARIES_COUNT_MAX || !endedCanaries.every(isEnd)) return null;
  return { versions, canary, endedCanaries };
}

/** What a state of either format says; `[null]` for what says nothing of it. */
function endedIn({ format, lastCanary, endedCanaries }: Record<string, unknown>): unknown[] {
  if (format === 1) return lastCanary === null ? [] : [lastCanary];
  return format === FORMAT && Array.isArray(endedCanaries) ? endedCanaries : [null];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isVersion(value: unknown): value is PushedVersion {
  return isObject(value) && isHash(value.sha256) && Number.isSafeInteger(value.pushedMs);
}

function isCanary(value: unknown): value is NonNullable<PluginState['canary']> {
  if (!isVersion(value)) return false;
  const { share } = value as { readonly share?: unknown };
  return typeof share === 'number' && share > 0 && share < 1;
}

function isEnd(value: unknown): value is CanaryEnd {
  if (!isObject(value) || !isHash(value.sha256) || typeof value.why !== 'string') return false;
  return OUTCOMES.includes(value.outcome) && Number.isSafeInteger(value.endedMs);
}

function isHash(value: unknown): boolean {
  return typeof value === 'string' && HASH.test(value);
}
