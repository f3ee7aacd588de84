// Configuration: schema, load, validate, normalise, and the snapshot that workers read.

export type * from './model.ts';
