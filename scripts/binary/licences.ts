// The licences of what the standalone binary carries, which its terms want passed on with it.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One text with the licence of each package. Errors: Error, when a package names none. */
export function licencesOf(packageFolders: readonly string[]): string {
  const parts = packageFolders.map((folder) => {
    const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
    // Some packages name a licence and do not bring its text.
    const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
    if (text === '' && !about.license) throw new Error(`${folder} names no licence`);
    return `${about.name} ${about.version} (${about.license})\n\n${text}\n`;
  });
  const { version } = process;
  const node = `node ${version}\n\nhttps://github.com/nodejs/node/blob/${version}/LICENSE\n`;
  return [node, ...parts].join(`\n${'-'.repeat(100)}\n\n`);
}
