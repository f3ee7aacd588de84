// What the system benchmarks need from Debian, and how to get it. A missing program ends the run
// with the command that installs it: a table with silent gaps would be read as a result.

import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

const PROGRAMS = {
  nginx: { path: '/usr/sbin/nginx', package: 'nginx-light' },
  haproxy: { path: '/usr/sbin/haproxy', package: 'haproxy' },
  taskset: { path: '/usr/bin/taskset', package: 'util-linux' },
  wrk: { path: '/usr/bin/wrk', package: 'wrk' },
  zstd: { path: '/usr/bin/zstd', package: 'zstd' },
  xdelta3: { path: '/usr/bin/xdelta3', package: 'xdelta3' },
  bsdiff: { path: '/usr/bin/bsdiff', package: 'bsdiff' },
  bspatch: { path: '/usr/bin/bspatch', package: 'bsdiff' },
  brotli: { path: '/usr/bin/brotli', package: 'brotli' },
  postgres: { path: '/usr/lib/postgresql/15/bin/postgres', package: 'postgresql-15' },
  initdb: { path: '/usr/lib/postgresql/15/bin/initdb', package: 'postgresql-15' },
  pgbench: { path: '/usr/lib/postgresql/15/bin/pgbench', package: 'postgresql-15' },
  psql: { path: '/usr/lib/postgresql/15/bin/psql', package: 'postgresql-client-15' },
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
  const packages = [...new Set(missing.map((name) => PROGRAMS[name].package))].join(' ');
  throw new Error(
    `missing: ${missing.join(', ')}; as root: ` +
      `apt-get install -y --no-install-recommends ${packages}`,
  );
}

/** Versions of the Debian packages that make deltas. */
export function deltaVersions(): Record<string, string> {
  const names = ['zstd', 'xdelta3', 'bsdiff', 'brotli'] as const;
  const versions = names.map((name) => {
    // Shape: `zstd\t1.5.4+dfsg2-5`.
    const shown = execFileSync('dpkg-query', ['-W', PROGRAMS[name].package], { encoding: 'utf8' });
    return [name, shown.split('\t')[1]?.trim() ?? 'unknown'];
  });
  return { node: process.version, ...Object.fromEntries(versions) };
}

/** Versions of what the databases are compared with. */
export function databaseVersions(): Record<string, string> {
  const postgres = execFileSync(PROGRAMS.postgres.path, ['--version'], { encoding: 'utf8' });
  return { node: process.version, postgres: /\d+\.\d+/.exec(postgres)?.[0] ?? 'unknown' };
}

/** Versions of what took part, for the record; `-` for what is not there. */
export function programVersions(): Record<string, string> {
  return {
    node: process.version,
    nginx: version('nginx'),
    haproxy: version('haproxy'),
    wrk: version('wrk'),
  };
}

function version(name: ProgramName): string {
  if (!hasProgram(name)) return '-';
  // wrk ends with 1 after printing its version, nginx prints it to stderr: a shell takes both.
  const text = execFileSync('sh', ['-c', `${PROGRAMS[name].path} -v 2>&1 || true`], {
    encoding: 'utf8',
  });
  return /\d+\.\d+[^\s]*/.exec(text)?.[0] ?? 'unknown';
}
