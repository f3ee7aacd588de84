// What the outermost map of a body must look like: its fields and what each is.

import { NameBuffer } from './name-buffer';

/** In the order of the KIND_ constants of the scanner. */
export const KINDS: string[] = ['any', 'text', 'number', 'boolean', 'list', 'map', 'null'];

export class Shape {
  private seen: StaticArray<bool>;

  constructor(
    private names: Uint8Array[],
    private labels: string[],
    private kinds: i32[],
    private isOptional: bool[],
    private isClosed: bool,
  ) {
    this.seen = new StaticArray<bool>(names.length);
  }

  /** What is wrong with a field; '' for nothing. */
  meet(name: NameBuffer, kind: i32): string {
    const index = name.find(this.names);
    if (index < 0) return this.isClosed ? 'an unknown field' : '';
    const label = this.labels[index];
    // Two readers of the body would not agree on which of them counts.
    if (this.seen[index]) return 'the field ' + label + ' stands twice';
    this.seen[index] = true;
    const wanted = this.kinds[index];
    if (wanted == 0 || wanted == kind) return '';
    return 'the field ' + label + ' is not a ' + KINDS[wanted];
  }

  /** What is missing; '' for nothing. */
  missing(): string {
    for (let index = 0; index < this.labels.length; index++) {
      if (this.seen[index] || this.isOptional[index]) continue;
      return 'the field ' + this.labels[index] + ' is missing';
    }
    return '';
  }
}
