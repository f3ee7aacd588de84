// `sluice plugin inspect`: what a module is, and whether it runs here. It runs nothing of it.

import { ERRORS, isGatewayError } from '../../core/index.ts';
import { type ModuleReport, shownName } from '../../proxywasm/index.ts';
import { readModule } from './read-module.ts';

const PAGE_SIZE_KIB = 64;

interface Output {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

/** Prints what is known of a module. Yields the exit code: 0 when it can be loaded. */
export function inspect(
  file: string,
  options: { readonly form: 'text' | 'json'; readonly imports: 'strict' | 'lax' },
  output: Output = process,
): number {
  const found = readModule(file, options.imports);
  if (isGatewayError(found)) {
    const { reason } = ERRORS[found.code];
    output.stderr.write(`${file}: refused: ${found.detail} (${found.code}, reason ${reason})\n`);
    return 1;
  }
  const { report } = found;
  const text = options.form === 'json' ? JSON.stringify(report, null, 2) : describe(file, report);
  output.stdout.write(`${text}\n`);
  return 0;
}

function describe(file: string, report: ModuleReport): string {
  const { memoryPages, memoryPagesMax, imports, warnings } = report;
  const exports = report.exports.map(shownName);
  const bound = Number.isFinite(memoryPagesMax) ? `${memoryPagesMax * PAGE_SIZE_KIB} KiB` : 'none';
  const callbacks = exports.filter((name) => name.startsWith('proxy_on_'));
  const others = exports.filter((name) => !name.startsWith('proxy_'));
  const rows = [
    ['file', file],
    ['sha256', report.sha256],
    ['size', `${report.sizeBytes} bytes, ${report.rewrittenSizeBytes} when metered`],
    ['abi', report.abi],
    ['sdk', `${report.sdk} (a guess)`],
    ['functions', String(report.functionCount)],
    ['memory', `${memoryPages * PAGE_SIZE_KIB} KiB at first, its own bound: ${bound}`],
    ['callbacks', callbacks.join(', ') || 'none'],
    ['exports', others.join(', ') || 'none'],
  ];
  const lines = rows.map(([name, value]) => `${name!.padEnd(11)}${value}`);
  lines.push(`imports    ${imports.length}`);
  for (const { module, name, isKnown } of imports) {
    lines.push(
      `           ${isKnown ? 'known  ' : 'UNKNOWN'} ${shownName(module)}.${shownName(name)}`,
    );
  }
  for (const warning of warnings) lines.push(`warning    ${warning}`);
  lines.push(`verdict    ${warnings.length === 0 ? 'runs' : 'runs, with the warnings above'}`);
  return lines.join('\n');
}
