// Runs the cases of a filter, each with an instance of its own.

import { isGatewayError } from '../../core/index.ts';
import {
  PLUGIN_DEFAULTS,
  PluginBook,
  type PluginModule,
  type PluginSpec,
  pluginSpec,
} from '../../proxywasm/index.ts';
import { type BenchServices, benchServices } from './bench-services.ts';
import type { Case, CaseFile, Exchange } from './case-schema.ts';
import { callDifferences, differences, logDifferences } from './compare.ts';
import { PlayedServices } from './played-services.ts';
import { runExchange } from './run-exchange.ts';

export interface CaseResult {
  readonly name: string;
  /** None for a case that is as it should be. */
  readonly problems: readonly string[];
  /** What the filter logged. */
  readonly lines: readonly string[];
}

const PLUGIN_NAME = 'filter';

/** Runs every case of a file. */
export function runCases(module: PluginModule, file: CaseFile): CaseResult[] {
  return file.cases.map((one) => runCase(module, file, one));
}

function runCase(module: PluginModule, file: CaseFile, one: Case): CaseResult {
  const wallMs = Date.parse(one.now);
  if (Number.isNaN(wallMs)) {
    return { name: one.name, problems: [`now: ${one.now} is no date`], lines: [] };
  }
  const played = new PlayedServices(one.services);
  const services = benchServices(wallMs, played);
  const problems = runIn(services, played, module, specOf(file, one), one);
  const lines = services.lines.map(({ level, message }) => `${level}: ${message}`);
  problems.push(...callDifferences(one.calls, played.calls), ...logDifferences(one.logs, lines));
  return { name: one.name, problems, lines };
}

function runIn(
  services: BenchServices,
  played: PlayedServices,
  module: PluginModule,
  spec: PluginSpec,
  one: Case,
): string[] {
  const book = new PluginBook(services);
  try {
    book.install(spec, module);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return one.refused ? [] : [`the filter does not start: ${error.detail}`];
  }
  const problems: string[] = one.refused ? ['the filter takes its configuration'] : [];
  const chain = book.chain([PLUGIN_NAME]);
  const deliver = () => played.deliver();
  deliver();
  for (const [index, exchange] of exchangesOf(one).entries()) {
    services.clock.advance(exchange.after ?? 0);
    for (let count = 0; count < exchange.times; count++) {
      const wallMs = services.clock.wallMs();
      const outcome = runExchange(exchange, { chain, wallMs, deliver });
      const where = one.exchanges === undefined ? '' : `exchanges[${index}].`;
      problems.push(...differences(exchange, outcome).map((line) => where + line));
    }
  }
  book.close();
  return problems;
}

function exchangesOf(one: Case): readonly Exchange[] {
  if (one.exchanges !== undefined) return one.exchanges;
  return one.refused ? [] : [one];
}

function specOf(file: CaseFile, one: Case): PluginSpec {
  return pluginSpec({
    ...PLUGIN_DEFAULTS,
    name: PLUGIN_NAME,
    rootId: file.rootId,
    config: Buffer.from(one.config ?? file.config),
    vmConfig: Buffer.from(file.vmConfig),
    env: Object.fromEntries(file.env),
    allowOnHeadersStopIteration: file.allowOnHeadersStopIteration,
  });
}
