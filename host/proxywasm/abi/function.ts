// Host functions as chapters give them: plain functions over numbers, by their names. What guards
// them is put around in imports.ts.

/** Takes what the guest passed, as signed integers and bigints; returns a status. */
export type HostFunction = (...args: never[]) => number;

export type HostFunctions = Readonly<Record<string, HostFunction>>;
