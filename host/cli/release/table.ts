// What a release costs to fetch, as a table: whole, compressed, and as a delta from what clients
// have.

import type { PublishReport } from '../../distribution/index.ts';

/** One way to get the release. Units: bytes. */
export interface CostRow {
  readonly label: string;
  readonly sizeBytes: number;
  readonly note: string;
}

/** The rows of a report: full, best compressed, and from each release that has deltas. */
export function costRows({ manifest, forms, olds }: PublishReport): CostRow[] {
  const contents = manifest.pack === null ? manifest.files : [manifest.pack];
  const bestOf = (content: { readonly sha256: string; readonly sizeBytes: number }): number => {
    let best = content.sizeBytes;
    for (const { outcome, sizeBytes } of forms.variants.get(content.sha256)?.values() ?? []) {
      if (isServable(outcome) && sizeBytes < best) best = sizeBytes;
    }
    return best;
  };
  const rows: CostRow[] = [
    { label: 'full', sizeBytes: sum(contents.map(({ sizeBytes }) => sizeBytes)), note: '' },
    { label: 'best compressed', sizeBytes: sum(contents.map(bestOf)), note: '' },
  ];
  for (const { entry, manifest: old } of olds) {
    const has = new Set([...old.files.map(({ sha256 }) => sha256), old.pack?.sha256]);
    let deltaCount = 0;
    let sameCount = 0;
    const costs = contents.map((content) => {
      if (has.has(content.sha256)) {
        sameCount += 1;
        return 0;
      }
      const sizes = [...(forms.deltas.get(content.sha256) ?? [])]
        .filter(([base, { outcome }]) => has.has(base) && isServable(outcome))
        .map(([, { sizeBytes }]) => sizeBytes);
      if (sizes.length > 0) deltaCount += 1;
      return Math.min(bestOf(content), ...sizes);
    });
    const fullCount = contents.length - deltaCount - sameCount;
    if (deltaCount === 0 && sameCount === 0) continue;
    const note = `${deltaCount} deltas, ${sameCount} unchanged, ${fullCount} whole`;
    rows.push({ label: `from ${entry.version}`, sizeBytes: sum(costs), note });
  }
  return rows;
}

/** The rows in columns, with the share of the first. */
export function costTable(rows: readonly CostRow[]): string {
  const fullBytes = Math.max(1, rows[0]?.sizeBytes ?? 1);
  const labelColumns = Math.max(...rows.map(({ label }) => label.length));
  const numbers = rows.map(({ sizeBytes }) => grouped(sizeBytes));
  const numberColumns = Math.max(...numbers.map(({ length }) => length));
  return rows
    .map(({ label, sizeBytes, note }, index) => {
      const share = `${((sizeBytes / fullBytes) * 100).toFixed(2)} %`.padStart(9);
      const number = numbers[index]!.padStart(numberColumns);
      return `  ${label.padEnd(labelColumns)}  ${number} B${share}  ${note}`.trimEnd();
    })
    .join('\n');
}

/** `1234567` as `1,234,567`. */
export function grouped(number: number): string {
  return String(number).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

function isServable(outcome: string): boolean {
  return outcome === 'made' || outcome === 'present';
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
