// One command with sub-commands. Parsing only: what a command does stands in its own file.

import { cac } from 'cac';
import { ERRORS } from '../core/index.ts';
import { benchCommand } from './bench/command.ts';
import { checkCommand } from './check.ts';
import { DRAIN_TIMEOUT_FLAG, type ServeFlags, serveCommand } from './serve.ts';
import { VERSION } from './version.ts';

/** Runs the command line and returns the exit code: 0 fine, 1 failed, 2 wrong usage. */
export async function run(argv: readonly string[]): Promise<number> {
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
  program.command('version', 'print the version').action(() => {
    console.log(VERSION);
    outcome = Promise.resolve(0);
  });
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
  program.outputHelp();
  return 2;
}
