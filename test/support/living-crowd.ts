// A crowd whose clients go on until they are ended, whatever becomes of the gateway meanwhile.

import type { SeededRandom } from '../../host/core/index.ts';
import { untilTrue } from './client.ts';
import { Crowd } from './crowd.ts';

export class LivingCrowd {
  readonly crowd: Crowd;
  readonly #url: (scheme: string) => string;
  #clients: Promise<void>[] = [];
  #isOver = false;

  /** `url`: of the database, for `http` or `ws`. */
  constructor(url: (scheme: string) => string, random: SeededRandom) {
    this.crowd = new Crowd(random);
    this.#url = url;
  }

  async begin(clientsCount: number): Promise<void> {
    await this.crowd.found(this.#url('http'));
    this.#clients = Array.from({ length: clientsCount }, (_, number) =>
      this.crowd.live(this.#url(number % 2 === 0 ? 'http' : 'ws'), () => !this.#isOver),
    );
  }

  /** Waits until so many more of its transactions have committed. */
  async more(count: number): Promise<void> {
    const wanted = this.crowd.counts().committed + count;
    await untilTrue(() => this.crowd.counts().committed >= wanted);
  }

  /** Waits until a client has been told an error of this text, once more. */
  async told(text: string): Promise<void> {
    const count = () => {
      const found = [...this.crowd.errors].filter(([error]) => error.includes(text));
      return found.reduce((sum, [, times]) => sum + times, 0);
    };
    const before = count();
    await untilTrue(() => count() > before);
  }

  /** Lets every client end what it is doing. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients);
  }

  async end(): Promise<void> {
    await this.stop();
    await this.crowd.conclude(this.#url('http'));
  }
}
