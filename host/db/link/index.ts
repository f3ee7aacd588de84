// How io workers and db workers reach each other.

export { BatchedPort } from './batched-port.ts';
export * from './flags.ts';
export * from './frames.ts';
