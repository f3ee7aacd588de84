// Which certificates have changed on disk since they were taken. Asked at each reload, for one that
// is renewed under its old name changes nothing in the configuration.

import { createHash } from 'node:crypto';
import { type ListenerConfig, readPlainFileSync } from '../config/index.ts';

export class Certificates {
  /** A digest of each listener's files, by its index; `''` for plain HTTP. */
  #taken: readonly string[];

  /** Listeners take the files as they are when they start. */
  constructor(listeners: readonly ListenerConfig[]) {
    this.#taken = listeners.map(digestOf);
  }

  /** Indexes of the listeners whose files are others than those taken; these count as taken now.
   *  Errors: GW_CONFIG_FILE. */
  takeChanged(listeners: readonly ListenerConfig[]): number[] {
    const before = this.#taken;
    const now = listeners.map(digestOf);
    this.#taken = now;
    return [...now.keys()].filter((index) => now[index] !== before[index]);
  }
}

function digestOf({ tls }: ListenerConfig): string {
  if (tls === null) return '';
  const digest = createHash('sha256');
  const files = [tls, ...tls.sni].flatMap(({ cert, key }) => [cert, key]);
  if (tls.clientCa !== '') files.push(tls.clientCa);
  for (const file of files) {
    const pem = readPlainFileSync(file);
    digest.update(`${pem.length} `).update(pem);
  }
  return digest.digest('hex');
}
