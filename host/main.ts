// The entry point of dist/sluice.js and of the standalone binary, whose entry is a CommonJS module
// and has no top-level await.

import { run } from './cli/index.ts';

// Stands when nothing is left to wait for although the command has not ended.
process.exitCode = 1;
void run(process.argv).then((exitCode) => {
  process.exitCode = exitCode;
});
