// One stretch of load on one address. Open loop: the schedule decides when a request is due and the
// latency counts from there. Closed loop (`--rate max`): a connection sends as soon as it is
// answered, which finds the most a target can do and says nothing true about its tail.

import { performance } from 'node:perf_hooks';
import { type Clock, GatewayError } from '../../core/index.ts';
import { BACKLOG_COUNT_MAX, CONNECT_MS_MAX, DRAIN_MS_MAX } from './limits.ts';
import {
  LoadClient,
  type LoadClientEvents,
  type LoadRequest,
  requestBytes,
} from './load-client.ts';
import { createHistogram, Recorder } from './recorder.ts';
import { Schedule } from './schedule.ts';

export interface LoadPlan extends LoadRequest {
  readonly clock: Clock;
  readonly rate: number | 'max';
  readonly durationMs: number;
  readonly connections: number;
}

/** How often timeouts are looked for and progress is told. */
const TICK_MS = 250;
/** Below this wait a timer is too coarse, so the loop turns until the time has come. */
const TURN_MS = 2;

/** Runs the plan to its end: connects, loads, waits for the last answers. Errors:
 *  GW_UPSTREAM_CONNECT when not one connection can be made; all else is counted in the recorder. */
export function runLoad(plan: LoadPlan, onTick: (recorder: Recorder) => void): Promise<Recorder> {
  return new LoadRun(plan, onTick).start();
}

class LoadRun implements LoadClientEvents {
  readonly #plan: LoadPlan;
  readonly #clock: Clock;
  readonly #onTick: (recorder: Recorder) => void;
  readonly #recorder = new Recorder();
  readonly #lag = createHistogram();
  readonly #clients: LoadClient[] = [];
  readonly #free: LoadClient[] = [];
  #schedule: Schedule | null = null;
  #startMs = 0;
  #utilization = performance.eventLoopUtilization();
  #inFlight = 0;
  #refusedConnections = 0;
  #isSending = false;
  #hasConnected: () => void = () => {};
  #finish: () => void = () => {};
  #wake: NodeJS.Timeout | null = null;
  #tick: NodeJS.Timeout | null = null;

  constructor(plan: LoadPlan, onTick: (recorder: Recorder) => void) {
    this.#plan = plan;
    this.#clock = plan.clock;
    this.#onTick = onTick;
  }

  async start(): Promise<Recorder> {
    try {
      await this.#connect();
      const finished = new Promise<void>((resolve) => {
        this.#finish = resolve;
      });
      this.#begin();
      await finished;
      this.#measureSelf();
    } finally {
      this.#close();
    }
    return this.#recorder;
  }

  onFree(client: LoadClient): void {
    this.#free.push(client);
    this.#settle();
    if (!this.#isSending) return;
    if (this.#schedule === null) this.#send(this.#free.pop()!, this.#clock.nowMs());
    else this.#sendWaiting(this.#schedule);
  }

  onAnswer(client: LoadClient, summary: Parameters<Recorder['answer']>[1]): void {
    this.#inFlight--;
    const { dueMs, sentMs } = client;
    this.#recorder.answer({ dueMs, sentMs, nowMs: this.#clock.nowMs() }, summary);
    this.#endIfDone();
  }

  onError(client: LoadClient, failure: Parameters<LoadClientEvents['onError']>[1]): void {
    const place = this.#free.indexOf(client);
    if (place !== -1) this.#free.splice(place, 1);
    if (failure.wasInFlight) this.#inFlight--;
    this.#refusedConnections++;
    this.#settle();
    // A peer may close an idle connection as it likes: no request was lost with it.
    if (failure.wasInFlight || failure.kind !== 'closed') {
      this.#recorder.error(failure.kind, failure.detail);
    }
    this.#endIfDone();
  }

  /** Connecting is not what is measured: the clock starts when the connections stand. */
  async #connect(): Promise<void> {
    const connected = new Promise<void>((resolve) => {
      this.#hasConnected = resolve;
      this.#wake = setTimeout(resolve, CONNECT_MS_MAX);
    });
    const bytes = requestBytes(this.#plan);
    for (let index = 0; index < this.#plan.connections; index++) {
      this.#clients.push(new LoadClient(this.#plan, bytes, this));
    }
    await connected;
    if (this.#wake !== null) clearTimeout(this.#wake);
    if (this.#free.length > 0) return;
    const { authority } = this.#plan.target;
    const seen = this.#recorder.errorSamples.get('connect') ?? `no answer in ${CONNECT_MS_MAX} ms`;
    throw new GatewayError('GW_UPSTREAM_CONNECT', `${authority}: ${seen}`);
  }

  /** Ends the wait for connections when each of them stands or has failed once. */
  #settle(): void {
    if (this.#free.length + this.#refusedConnections >= this.#plan.connections) {
      this.#hasConnected();
    }
  }

  #begin(): void {
    const { clock, rate, durationMs } = this.#plan;
    this.#isSending = true;
    this.#startMs = clock.nowMs();
    this.#utilization = performance.eventLoopUtilization();
    this.#tick = setInterval(() => this.#ticked(), TICK_MS);
    if (rate === 'max') {
      for (const client of this.#free.splice(0)) this.#send(client, this.#startMs);
      return;
    }
    const backlogCountMax = BACKLOG_COUNT_MAX;
    this.#schedule = new Schedule({ clock, ratePerSecond: rate, durationMs, backlogCountMax });
    this.#pump(this.#schedule);
  }

  #sendWaiting(schedule: Schedule): void {
    while (schedule.waitingCount > 0 && this.#free.length > 0) {
      this.#send(this.#free.pop()!, schedule.take());
    }
  }

  #send(client: LoadClient, dueMs: number): void {
    client.dueMs = dueMs;
    client.sentMs = this.#clock.nowMs();
    this.#inFlight++;
    if (this.#schedule === null) this.#recorder.dueCount++;
    client.send();
  }

  /** Open loop: moves due requests to free connections, then sleeps or turns until the next. */
  #pump(schedule: Schedule): void {
    const issuedBefore = schedule.issuedCount;
    const lagMs = schedule.collect();
    // One stall makes many requests late, each by less than the one before it.
    for (let index = 0; index < schedule.issuedCount - issuedBefore; index++) {
      this.#lag.recordValue(Math.max(0, Math.round((lagMs - index * schedule.intervalMs) * 1000)));
    }
    this.#sendWaiting(schedule);
    if (schedule.isExhausted) {
      this.#endIfDone();
      return;
    }
    const waitMs = schedule.untilNextMs();
    const pump = () => {
      if (this.#isSending) this.#pump(schedule);
    };
    if (waitMs > TURN_MS) this.#wake = setTimeout(pump, waitMs - TURN_MS);
    else setImmediate(pump);
  }

  #ticked(): void {
    const nowMs = this.#clock.nowMs();
    for (const client of this.#clients) client.checkTimeout(nowMs);
    this.#recorder.elapsedMs = nowMs - this.#startMs;
    this.#onTick(this.#recorder);
    if (this.#schedule === null && this.#recorder.elapsedMs >= this.#plan.durationMs) {
      this.#isSending = false;
    }
    const overdueMs = this.#recorder.elapsedMs - this.#plan.durationMs;
    if (overdueMs >= DRAIN_MS_MAX) {
      this.#recorder.unfinishedCount = this.#inFlight + (this.#schedule?.waitingCount ?? 0);
      this.#isSending = false;
      this.#finish();
    }
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#inFlight > 0) return;
    const schedule = this.#schedule;
    if (schedule === null ? this.#isSending : !schedule.isExhausted || schedule.waitingCount > 0) {
      return;
    }
    this.#isSending = false;
    this.#finish();
  }

  #measureSelf(): void {
    const recorder = this.#recorder;
    recorder.elapsedMs = this.#clock.nowMs() - this.#startMs;
    if (this.#schedule === null) {
      recorder.selfBusyRatio = performance.eventLoopUtilization(this.#utilization).utilization;
      return;
    }
    // The last request is due one interval before the end: that interval belongs to the rate.
    recorder.elapsedMs = Math.max(recorder.elapsedMs, this.#plan.durationMs);
    recorder.dueCount = this.#schedule.issuedCount;
    recorder.droppedCount = this.#schedule.droppedCount;
    recorder.selfLagP99Ms = this.#lag.getValueAtPercentile(99) / 1000;
    recorder.selfLagMaxMs = this.#lag.totalCount === 0 ? 0 : this.#lag.maxValue / 1000;
  }

  #close(): void {
    if (this.#tick !== null) clearInterval(this.#tick);
    if (this.#wake !== null) clearTimeout(this.#wake);
    for (const client of this.#clients) client.stop();
  }
}
