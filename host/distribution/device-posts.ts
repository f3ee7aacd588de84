// Answers what devices post: `check` and `outcomes`.

import { CHECK_BODY_SIZE_BYTES_MAX, type Clock, type Exchange } from '../core/index.ts';
import type { ChannelView } from './channel-view.ts';
import { answerCheck, readCheck, readOutcomes } from './device-requests.ts';
import { refuseFor } from './refusal.ts';
import type { ReportIntake } from './report-intake.ts';
import { readWholeBody } from './request-body.ts';

const CHECKED_HEADERS = ['content-type', 'application/json', 'cache-control', 'no-store'];

/** Finds a channel that the route serves. */
export type ViewFinder = (channel: string) => ChannelView | undefined;

export class DevicePosts {
  readonly #clock: Clock;
  readonly #intake: ReportIntake;

  constructor(clock: Clock, intake: ReportIntake) {
    this.#clock = clock;
    this.#intake = intake;
  }

  /** Answers once the body has come. */
  take(exchange: Exchange, kind: 'check' | 'outcomes', viewOf: ViewFinder): void {
    readWholeBody(exchange, CHECK_BODY_SIZE_BYTES_MAX, (body) => {
      try {
        if (!(body instanceof Uint8Array)) throw body;
        if (kind === 'check') this.#check(exchange, body, viewOf);
        else this.#outcomes(exchange, body, viewOf);
      } catch (error) {
        refuseFor(exchange, error);
      }
    });
  }

  #check(exchange: Exchange, body: Uint8Array, viewOf: ViewFinder): void {
    const text = answerCheck(readCheck(body), viewOf, this.#clock.wallMs());
    exchange.respond(200, CHECKED_HEADERS.slice(), text);
  }

  #outcomes(exchange: Exchange, body: Uint8Array, viewOf: ViewFinder): void {
    for (const report of readOutcomes(body)) {
      // Of what is not known nothing is counted: a client cannot make channels or releases.
      const releases = viewOf(report.channel)?.releases ?? [];
      if (releases.every(({ sequence }) => sequence !== report.sequence)) continue;
      this.#intake.addOutcome(report);
    }
    exchange.respond(204, ['cache-control', 'no-store'], '');
  }
}
