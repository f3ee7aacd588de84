// The headers of a request that delivery looks at, found in one pass over the list: each look for a
// single header is a pass of its own, and most requests have none of them but two.

import type { HeaderList } from '../core/index.ts';

/** What a request says. Values of a header that stands several times are joined by `, ` (RFC 9110
 *  section 5.2); null where there is none. */
export interface RequestFields {
  acceptEncoding: string | null;
  availableDictionary: string | null;
  /** The first value: a second one is nobody's honest header. */
  fetchSite: string | null;
  /** Whether any of If-Match, If-None-Match, If-Range and Range is there. */
  isConditional: boolean;
}

const fields: RequestFields = {
  acceptEncoding: null,
  availableDictionary: null,
  fetchSite: null,
  isConditional: false,
};

/** Reads a request's headers. Valid until the next call.
 *  Cost: a comparison of lengths for each header, no allocation unless one stands twice. */
export function readFields(headers: HeaderList): Readonly<RequestFields> {
  fields.acceptEncoding = null;
  fields.availableDictionary = null;
  fields.fetchSite = null;
  fields.isConditional = false;
  for (let index = 0; index < headers.length; index += 2) {
    readField(headers[index]!, headers[index + 1]!);
  }
  return fields;
}

function readField(name: string, value: string): void {
  switch (name.length) {
    case 5:
      if (name === 'range') fields.isConditional = true;
      break;
    case 8:
      if (name === 'if-match' || name === 'if-range') fields.isConditional = true;
      break;
    case 13:
      if (name === 'if-none-match') fields.isConditional = true;
      break;
    case 14:
      if (name === 'sec-fetch-site') fields.fetchSite ??= value;
      break;
    case 15:
      if (name === 'accept-encoding') fields.acceptEncoding = joined(fields.acceptEncoding, value);
      break;
    case 20:
      if (name === 'available-dictionary') {
        fields.availableDictionary = joined(fields.availableDictionary, value);
      }
      break;
  }
}

function joined(before: string | null, value: string): string {
  return before === null ? value : `${before}, ${value}`;
}
