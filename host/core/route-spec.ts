// What a route matches, in its validated and normalised form: the contract between the
// configuration, which writes it, and the router kernel, which compiles it.

export interface FieldCondition {
  /** Header names are in lower case; query names are as written. */
  readonly name: string;
  readonly op: 'equals' | 'present' | 'prefix';
  /** Empty for `present`. */
  readonly value: string;
}

export interface RouteSpec {
  /** `''` for any host, `example.com` for one, `*.example.com` for one or more labels before it.
   *  In lower case, without a port. */
  readonly host: string;
  /** `/a/{id}` template, `/a/*` prefix (matches `/a` and `/a/...`), or `~ regex`. Normalised. */
  readonly path: string;
  /** Upper case; empty for any. */
  readonly methods: readonly string[];
  readonly headers: readonly FieldCondition[];
  readonly query: readonly FieldCondition[];
}
