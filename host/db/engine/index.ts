// The one door to SQLite.

export type { Connection } from './connection.ts';
export { SessionCounters } from './counters.ts';
export type { ReplayedCommit, ReplayedPage } from './engine.ts';
export { compileSqlite, Engine } from './engine.ts';
export type { Access, EngineLimits, EngineOptions } from './engine-options.ts';
export { ENGINE_LIMITS, THREAD_STACK_SIZE_MB } from './limits.ts';
export type { Snapshot } from './overlay.ts';
export { type Repaging, repage } from './repage.ts';
