// `sluice plugin test`: runs a filter's cases without a gateway.

import { formatIssue, readConfigText, readDocument } from '../../config/index.ts';
import { ERRORS, isGatewayError } from '../../core/index.ts';
import { CASE_FILE } from './case-schema.ts';
import { readModule } from './read-module.ts';
import { type CaseResult, runCases } from './run-cases.ts';

interface Output {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

/** Runs the cases. Yields the exit code: 0 when each is as it should be, 1 when one is not or
 *  nothing could be run. */
export async function testPlugin(
  files: { readonly module: string; readonly cases: string },
  output: Output = process,
): Promise<number> {
  let text: string;
  try {
    text = await readConfigText(files.cases);
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    return refuse(files.cases, error.detail, error.code, output);
  }
  const read = readDocument(text, CASE_FILE, files.cases);
  if (!read.ok) {
    for (const issue of read.issues) output.stderr.write(`${formatIssue(issue)}\n`);
    return 1;
  }
  const module = readModule(files.module, 'lax');
  if (isGatewayError(module)) return refuse(files.module, module.detail, module.code, output);
  const results = runCases(module, read.value);
  for (const result of results) output.stdout.write(describe(result));
  const bad = results.filter(({ problems }) => problems.length > 0).length;
  const counts = `${results.length - bad} of ${results.length} cases as they should be`;
  output.stdout.write(`${files.cases}: ${counts}\n`);
  return bad === 0 ? 0 : 1;
}

function describe({ name, problems, lines }: CaseResult): string {
  if (problems.length === 0) return `ok    ${name}\n`;
  const logged = lines.length === 0 ? [] : ['log:', ...lines.map((line) => `  ${shown(line)}`)];
  return `BAD   ${name}\n${[...problems, ...logged].map((line) => `        ${line}\n`).join('')}`;
}

/** A filter may log what steers a terminal. */
function shown(line: string): string {
  return line.replace(/\p{Cc}/gu, (sign) => `\\u{${sign.codePointAt(0)!.toString(16)}}`);
}

function refuse(file: string, why: string, code: keyof typeof ERRORS, output: Output): number {
  output.stderr.write(`${file}: ${why} (${code}, reason ${ERRORS[code].reason})\n`);
  return 1;
}
