// The text format of Prometheus: heads and escapes. Source: text format 0.0.4.

import { METRICS, type MetricName } from './metric-names.ts';

/** The lines before a metric's samples. */
export function head(name: MetricName): string {
  const { help, type } = METRICS[name];
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

/** Escapes a label's value. */
export function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
