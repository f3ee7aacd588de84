// `sluice plugin new`: writes a project that builds and whose cases pass. It overwrites nothing.

import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { GatewayError } from '../../core/index.ts';
import { projectFiles } from './template.ts';

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Writes the project. Yields the exit code. Errors: GW_FLAG_BAD_VALUE for a bad name or a folder
 *  that holds something. */
export function makeProject(name: string, folder: string): number {
  if (!NAME.test(name)) {
    const expected = 'expected 1 to 63 of a-z, 0-9 and hyphens, a letter or digit at both ends';
    throw new GatewayError('GW_FLAG_BAD_VALUE', `the name ${JSON.stringify(name)}: ${expected}`);
  }
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new GatewayError('GW_FLAG_BAD_VALUE', `the folder ${folder} is not empty`);
  }
  for (const [path, text] of Object.entries(projectFiles(name))) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { flag: 'wx' });
  }
  console.log(`${folder}: a filter to begin with; next: npm install && npm run build && npm test`);
  return 0;
}
