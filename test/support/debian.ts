// Programs that tests drive. A test that needs one never skips: it installs it or names it.

import { spawnSync } from 'node:child_process';

function isThere(command: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
}

/** Makes sure that a program of Debian is there. Errors: what is missing, and how to install it. */
export function needDebian(command: string, packageName: string): void {
  if (isThere(command)) return;
  const install = `apt-get update && apt-get install -y --no-install-recommends ${packageName}`;
  if (process.getuid?.() === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    spawnSync('sh', ['-c', install], { stdio: 'ignore', env });
  }
  if (!isThere(command)) {
    throw new Error(`the test needs ${command} of the package ${packageName}; as root: ${install}`);
  }
}
