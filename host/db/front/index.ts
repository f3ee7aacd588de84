// What an io worker has of the database plane.

export { DatabaseFront, type FrontDeps, ownerOf } from './front.ts';
export { WorkerLink } from './worker-link.ts';
