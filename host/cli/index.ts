// One command with sub-commands. Parsing only: what a command does stands in its own file.

import { type CAC, cac } from 'cac';
import { ERRORS } from '../core/index.ts';
import { benchCommand } from './bench/command.ts';
import {
  type BenchFlags,
  CONNECTIONS_DEFAULT,
  DURATION_DEFAULT,
  parseBenchOptions,
  ROUNDS_DEFAULT,
} from './bench/options.ts';
import { checkCommand } from './check.ts';
import { DB_ACTIONS, DB_USAGE, dbCommand } from './db/command.ts';
import { DB_FLAGS } from './db/flags.ts';
import { PLUGIN_ACTIONS, PLUGIN_FLAGS, pluginCommand } from './plugin/command.ts';
import type { FlagSpec } from './release/flags.ts';
import { KEYS_ACTIONS, KEYS_FLAGS, keysCommand } from './release/keys.ts';
import { PUBLISH_FLAGS, publishCommand } from './release/publish.ts';
import { RELEASE_ACTIONS, RELEASE_FLAGS, releaseCommand } from './release/release.ts';
import { DRAIN_TIMEOUT_FLAG, type ServeFlags, serveCommand } from './serve.ts';
import { VERSION } from './version.ts';

const BENCH_OPTIONS: readonly (readonly [string, string])[] = [
  ['--rate <n>', 'requests per second, or max for a closed loop (required)'],
  ['--duration <duration>', `measured time (default: ${DURATION_DEFAULT})`],
  ['--connections <n>', `connections at most (default: ${CONNECTIONS_DEFAULT})`],
  ['--warmup <duration>', 'time under load before measuring starts (default: none)'],
  ['--method <method>', 'request method (default: GET, or POST with a body)'],
  ['--header <header>', 'a request header, "name: value"; may be repeated'],
  ['--body <text>', 'request body (default: none)'],
  ['--compare <url>', 'a second URL, alternating with the first'],
  ['--rounds <n>', `rounds of a comparison (default: ${ROUNDS_DEFAULT})`],
  ['--out <file>', 'write a report as HTML'],
  ['--hgrm <file>', "write percentiles in HdrHistogram's format"],
  ['--json <file>', 'write results as JSON'],
  ['--allow-remote', 'allow an address other than loopback (default: refused)'],
];

/** Commands that read their flags themselves: their values are text, also where they look like
 *  numbers. */
const OWN_COMMANDS: Readonly<Record<string, OwnCommand>> = {
  publish: {
    words: '[dir]',
    usage: 'publish DIR --channel NAME --version NAME [options]',
    what: 'publish a folder as a release',
    flags: PUBLISH_FLAGS,
    run: publishCommand,
  },
  release: {
    words: '[action] [version]',
    usage: `release ${RELEASE_ACTIONS.join('|')} [VERSION] --channel NAME [options]`,
    what: `${RELEASE_ACTIONS.join(', ')}`,
    flags: RELEASE_FLAGS,
    run: releaseCommand,
  },
  keys: {
    words: '[action]',
    usage: `keys ${KEYS_ACTIONS.join('|')} [options]`,
    what: `signing keys: ${KEYS_ACTIONS.join(', ')}`,
    flags: KEYS_FLAGS,
    run: keysCommand,
  },
  db: {
    words: '[action] [name] [other]',
    usage: `db ACTION [NAME] [options]\n${DB_USAGE}`,
    what: `databases of a gateway, whether it runs or not: ${DB_ACTIONS.join(', ')}`,
    flags: DB_FLAGS,
    run: (argv) => dbCommand(argv),
  },
  plugin: {
    words: '[action] [word] [word]',
    usage: 'plugin ACTION [FILE or NAME] [CASES, SHARE, promote or abort] [options]',
    what: `Proxy-Wasm filters: ${PLUGIN_ACTIONS.join(', ')}`,
    flags: PLUGIN_FLAGS,
    run: pluginCommand,
  },
};

interface OwnCommand {
  readonly words: string;
  readonly usage: string;
  readonly what: string;
  readonly flags: Readonly<Record<string, FlagSpec>>;
  readonly run: (argv: readonly string[]) => Promise<number>;
}

/** Runs the command line and returns the exit code: 0 fine, 1 failed, 2 wrong usage. */
export async function run(argv: readonly string[]): Promise<number> {
  const own = Object.hasOwn(OWN_COMMANDS, argv[2] ?? '') ? OWN_COMMANDS[argv[2]!] : undefined;
  const words = argv.slice(3);
  if (own !== undefined && !words.includes('--help') && !words.includes('-h')) {
    // A reader that has seen enough, such as `head`, ends the output and not the work.
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
    return own.run(words);
  }
  const program = cac('sluice');
  let outcome: Promise<number> | null = null;
  program
    .command('serve', 'run the gateway')
    .option('-c, --config <file>', 'configuration file', { default: 'sluice.yaml' })
    .option('--supervise', 'start the gateway again when it ends on its own')
    .option('--drain-timeout <duration>', 'what a stop allows', { default: DRAIN_TIMEOUT_FLAG })
    .action((flags: ServeFlags) => {
      outcome = serveCommand(flags);
    });
  program
    .command('check', 'check a configuration and name every error')
    .option('-c, --config <file>', 'configuration file', { default: 'sluice.yaml' })
    .action((flags: { config: string }) => {
      outcome = checkCommand(flags.config);
    });
  const bench = program.command('bench <url>', 'load a URL at a fixed rate and measure latency');
  for (const [option, what] of BENCH_OPTIONS) bench.option(option, what);
  bench.action((url: string, flags: BenchFlags) => {
    outcome = benchCommand(parseBenchOptions(url, flags));
  });
  program.command('version', 'print the version').action(() => {
    console.log(VERSION);
    outcome = Promise.resolve(0);
  });
  for (const [name, command] of Object.entries(OWN_COMMANDS)) describeOwn(program, name, command);
  program.help();
  program.version(VERSION);
  try {
    program.parse([...argv], { run: false });
    program.runMatchedCommand();
  } catch (error) {
    const { reason } = ERRORS.GW_FLAG_BAD_VALUE;
    console.error(`${error instanceof Error ? error.message : error} (reason ${reason})`);
    return 2;
  }
  if (outcome !== null) return outcome;
  if (program.options.help || program.options.version) return 0;
  const [word] = program.args;
  if (word === undefined) program.outputHelp();
  else console.error(unknownCommand(word));
  return 2;
}

/** For the help alone. */
function describeOwn(program: CAC, name: string, { words, usage, what, flags }: OwnCommand): void {
  const command = program.command(`${name} ${words}`, what).usage(usage);
  for (const [flag, { kind, what: text }] of Object.entries(flags)) {
    const [value, ...rest] = kind === 'switch' ? ['', text] : splitValue(text);
    command.option(`--${flag} ${value}`.trimEnd(), rest.join(' '));
  }
}

/** `<file> what it is` in two. */
function splitValue(text: string): string[] {
  const end = text.indexOf('>') + 1;
  return [text.slice(0, end), text.slice(end + 1)];
}

function unknownCommand(word: string): string {
  const { reason } = ERRORS.GW_FLAG_BAD_VALUE;
  const expected = 'expected serve, check, bench, publish, release, keys, db, plugin or version';
  return `unknown command ${word.slice(0, 80)}, ${expected} (GW_FLAG_BAD_VALUE, reason ${reason})`;
}
