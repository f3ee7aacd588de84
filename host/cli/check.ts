// `sluice check`: reads a configuration as `serve` would and says everything that is wrong with it.
// It opens no port and changes nothing.

import { type Config, formatIssue, loadConfigFile } from '../config/index.ts';
import { isGatewayError } from '../core/index.ts';
import { keyFaults } from '../distribution/index.ts';

interface Output {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

/** Checks a configuration file. Yields the exit code: 0 and a summary on stdout when it is good,
 *  1 and a line for each issue on stderr when it is not. What would run and is of no use to anybody
 *  is a warning on stderr. */
export async function checkCommand(file: string, output: Output = process): Promise<number> {
  const result = await loadConfigFile(file);
  if (result.ok) {
    if (!(await checkKeys(file, result.config, output))) return 1;
    output.stdout.write(`${file}: ok: ${summary(result.config)}\n`);
    return 0;
  }
  for (const issue of result.issues) output.stderr.write(`${formatIssue(issue)}\n`);
  const again = result.isComplete ? '' : '; fix and check again, for some checks wait for others';
  output.stderr.write(`${file}: ${count(result.issues.length, 'issue')}${again}\n`);
  return 1;
}

/** Whether the keys of the distribution plane can be used; says what is wrong with them. */
async function checkKeys(file: string, config: Config, output: Output): Promise<boolean> {
  if (config.distribution === null) return true;
  try {
    for (const fault of await keyFaults(config.distribution)) {
      output.stderr.write(`${file}: warning: ${fault}\n`);
    }
    return true;
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    output.stderr.write(`${file}: ${error.message} (${error.code}, reason ${error.reason})\n`);
    return false;
  }
}

function summary({ listeners, routes, services }: Config): string {
  const endpoints = services.reduce((sum, service) => sum + service.endpoints.length, 0);
  const ports = listeners.map(({ address, port }) => {
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  });
  const counts = [
    count(routes.length, 'route'),
    count(services.length, 'service'),
    count(endpoints, 'endpoint'),
  ];
  return `${counts.join(', ')}, listening on ${ports.join(', ')}`;
}

function count(number: number, noun: string): string {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}
