// The forms of one resource that were chosen lately, by the very header values that decide. Nearly
// all clients send one of a few sets of values, and for those the choice is a comparison of texts
// that allocates nothing. It holds no bytes, and nothing outlives what is known of the forms.

import type { FormsKnown } from './form-book.ts';
import type { RequestFields } from './request-fields.ts';
import type { PreparedHeaders } from './resource.ts';

/** What browsers and tools of one time send; more take each other's place. */
const CHOICES_COUNT_MAX = 4;

export interface Choice {
  /** The client's base, where there is a delta from it; in hex. */
  readonly base: string | null;
  readonly prepared: PreparedHeaders;
  readonly sizeBytes: number;
}

interface KeptChoice extends Choice {
  readonly forms: FormsKnown;
  readonly acceptEncoding: string | null;
  readonly availableDictionary: string | null;
  readonly fetchSite: string | null;
}

export class ChoiceBook {
  readonly #choices: KeptChoice[] = [];
  #nextIndex = 0;

  /** The choice for a request without a query; null when it is to be made. `forms`: what is known
   *  now; a choice from what was known before counts no more. Cost: no allocation. */
  find(forms: FormsKnown, fields: Readonly<RequestFields>): Choice | null {
    const choices = this.#choices;
    for (let index = 0; index < choices.length; index++) {
      const choice = choices[index]!;
      if (
        choice.forms === forms &&
        choice.acceptEncoding === fields.acceptEncoding &&
        choice.availableDictionary === fields.availableDictionary &&
        choice.fetchSite === fields.fetchSite
      ) {
        return choice;
      }
    }
    return null;
  }

  /** Keeps a choice that the same values will always lead to while `forms` are what is known. */
  keep(forms: FormsKnown, fields: Readonly<RequestFields>, choice: Choice): void {
    const { acceptEncoding, availableDictionary, fetchSite } = fields;
    const values = { acceptEncoding, availableDictionary, fetchSite };
    this.#choices[this.#nextIndex] = { forms, ...values, ...choice };
    this.#nextIndex = (this.#nextIndex + 1) % CHOICES_COUNT_MAX;
  }
}
