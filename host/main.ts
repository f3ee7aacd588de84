// The entry point of dist/sluice.js.

import { run } from './cli/index.ts';

process.exitCode = await run(process.argv);
