// What the system benchmarks need from Debian, and how to get it. A missing program ends the run
// with the command that installs it: a table with silent gaps would be read as a result.

import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

const PROGRAMS = {
  nginx: { path: '/usr/sbin/nginx', package: 'nginx-light' },
  haproxy: { path: '/usr/sbin/haproxy', package: 'haproxy' },
  taskset: { path: '/usr/bin/taskset', package: 'util-linux' },
  wrk: { path: '/usr/bin/wrk', package: 'wrk' },
} as const;

export type ProgramName = keyof typeof PROGRAMS;

export function programPath(name: ProgramName): string {
  return PROGRAMS[name].path;
}

export function hasProgram(name: ProgramName): boolean {
  try {
    accessSync(PROGRAMS[name].path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Errors: an Error naming each missing program and the command that installs it. */
export function requirePrograms(names: readonly ProgramName[]): void {
  const missing = names.filter((name) => !hasProgram(name));
  if (missing.length === 0) return;
  const packages = missing.map((name) => PROGRAMS[name].package).join(' ');
  throw new Error(
    `missing: ${missing.join(', ')}; as root: ` +
      `apt-get install -y --no-install-recommends ${packages}`,
  );
}

/** Versions of what took part, for the record; `-` for what is not there. */
export function programVersions(): Record<string, string> {
  return {
    node: process.version,
    nginx: firstLine('nginx', ['-v']),
    haproxy: firstLine('haproxy', ['-v']),
    wrk: firstLine('wrk', ['-v']),
  };
}

function firstLine(name: ProgramName, args: readonly string[]): string {
  if (!hasProgram(name)) return '-';
  // wrk ends with 1 after printing its version, nginx prints it to stderr: a shell takes both.
  const command = `${PROGRAMS[name].path} ${args.join(' ')} 2>&1 || true`;
  return execFileSync('sh', ['-c', command], { encoding: 'utf8' }).split('\n')[0]!.trim();
}
