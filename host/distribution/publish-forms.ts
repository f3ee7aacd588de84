// Has variants and deltas of a release made, a few at a time, and remembers what came of each.

import { eachAtOnce, isGatewayError } from '../core/index.ts';
import type { ContentWriter } from './content-writer.ts';
import type { FormResult } from './delta.ts';
import type { PlannedDelta } from './delta-plan.ts';
import type { Effort } from './effort.ts';
import type { PublishJobs } from './publish.ts';
import { ENCODINGS, type Encoding } from './store-paths.ts';

/** Tasks under way at once: enough to keep every thread of a pool busy. */
const TASKS_UNDER_WAY_MAX = 8;

export interface FormProgress {
  readonly doneCount: number;
  readonly totalCount: number;
}

/** What came of each form; results by content, and by content and base. */
export interface FormTally {
  readonly variants: ReadonlyMap<string, ReadonlyMap<Encoding, FormResult>>;
  readonly deltas: ReadonlyMap<string, ReadonlyMap<string, FormResult>>;
  /** Forms that did not decode to what they should be: a bug, and they are not in the store. A
   *  release does without them. */
  readonly wrong: readonly string[];
}

export interface FormJobsOptions {
  readonly writer: ContentWriter;
  readonly jobs: PublishJobs;
  readonly effort: Effort;
}

type OnProgress = (progress: FormProgress) => void;

export class FormJobs {
  readonly #options: FormJobsOptions;
  readonly #variants = new Map<string, Map<Encoding, FormResult>>();
  readonly #deltas = new Map<string, Map<string, FormResult>>();
  readonly #wrong: string[] = [];

  constructor(options: FormJobsOptions) {
    this.#options = options;
  }

  get tally(): FormTally {
    return { variants: this.#variants, deltas: this.#deltas, wrong: this.#wrong };
  }

  async makeVariants(contents: readonly string[], onProgress: OnProgress): Promise<void> {
    const { writer, jobs } = this.#options;
    const wanted = contents.flatMap((sha256) => {
      return ENCODINGS.map((encoding) => ({ sha256, encoding }));
    });
    await this.#each(wanted, onProgress, async ({ sha256, encoding }) => {
      const { dir } = writer.store;
      const task = { dir, sha256, encoding, roomBytes: writer.roomBytes };
      const made = await jobs.makeVariant(task);
      put(this.#variants, sha256, encoding, made);
      return made;
    });
  }

  async makeDeltas(planned: readonly PlannedDelta[], onProgress: OnProgress): Promise<void> {
    const { writer, jobs, effort } = this.#options;
    await this.#each(planned, onProgress, async ({ base, target }) => {
      const { dir } = writer.store;
      const task = { dir, base, target, effort, roomBytes: writer.roomBytes };
      const made = await jobs.makeDelta(task);
      put(this.#deltas, target, base, made);
      return made;
    });
  }

  async #each<T>(
    items: readonly T[],
    onProgress: OnProgress,
    make: (item: T) => Promise<FormResult>,
  ): Promise<void> {
    let doneCount = 0;
    onProgress({ doneCount, totalCount: items.length });
    await eachAtOnce(items, TASKS_UNDER_WAY_MAX, async (item) => {
      try {
        this.#options.writer.addUsed((await make(item)).addedBytes);
      } catch (error) {
        if (!isWrongForm(error)) throw error;
        this.#wrong.push(error.message);
      }
      doneCount += 1;
      onProgress({ doneCount, totalCount: items.length });
    });
  }
}

function isWrongForm(error: unknown): error is Error {
  return isGatewayError(error) && /^GW_(?:ZSTD_|DIST_DELTA$)/.test(error.code);
}

function put<K>(
  map: Map<string, Map<K, FormResult>>,
  first: string,
  second: K,
  result: FormResult,
): void {
  const inner = map.get(first) ?? new Map<K, FormResult>();
  inner.set(second, result);
  map.set(first, inner);
}
