// Who may do what with a database: tokens signed with EdDSA, checked once and remembered until they
// expire. The only importer of jose.
//
// Claims: `id` the one database that the token is for; `a` what it allows there, `ro` or `rw`; or
// `p` with lists of databases, `{ "ro": { "ns": [...] }, "rw": { "ns": [...] } }`; `exp`, `nbf`.
// Of sqld's others, `p.ddl` is about shared schemas, which are not there: it gives no access, and a
// token that gives nothing else is refused by that name.

import { importJWK, importSPKI, type JWTPayload, jwtVerify } from 'jose';
import type { Clock } from '../../core/index.ts';
import { type Access, HranaError, JWT_SIZE_CHARS_MAX } from '../hrana/index.ts';

/** Tokens that are remembered; the oldest is forgotten first. */
const TOKENS_COUNT_MAX = 4_096;
const RAW_KEY_SIZE_BYTES = 32;

type VerifyKey = Awaited<ReturnType<typeof importSPKI>> | Uint8Array;

/** Every database of the token's, or the ones that it names. */
interface Grants {
  readonly one: string | null;
  readonly oneAccess: Access;
  readonly readWrite: ReadonlySet<string> | null;
  readonly readOnly: ReadonlySet<string> | null;
  readonly schemaOnly: ReadonlySet<string> | null;
  readonly fromMs: number;
  readonly untilMs: number;
}

export class Authenticator {
  readonly #clock: Clock;
  /** Null: everybody may do everything. */
  readonly #key: VerifyKey | null;
  readonly #known = new Map<string, Grants>();

  private constructor(clock: Clock, key: VerifyKey | null) {
    this.#clock = clock;
    this.#key = key;
  }

  /** `publicKey`: PEM, or the 32 bytes of the key in base64url; '' where no token is needed.
   *  Errors: what jose says of a key that is none. */
  static async create(publicKey: string, clock: Clock): Promise<Authenticator> {
    return new Authenticator(clock, publicKey === '' ? null : await importPublicKey(publicKey));
  }

  /** What a token allows with a database; at once for one that is known. Errors, thrown or as a
   *  rejection: HranaError AUTH_REQUIRED, AUTH_JWT_INVALID, AUTH_JWT_EXPIRED, AUTH_FORBIDDEN. */
  check(jwt: string | null, database: string): Access | Promise<Access> {
    if (this.#key === null) return 'read-write';
    if (jwt === null || jwt === '') throw new HranaError('AUTH_REQUIRED', 'a token is needed');
    const known = this.#known.get(jwt);
    return known === undefined ? this.#verify(jwt, database) : this.#allowed(known, database);
  }

  async #verify(jwt: string, database: string): Promise<Access> {
    if (jwt.length > JWT_SIZE_CHARS_MAX) {
      const message = `a token has ${JWT_SIZE_CHARS_MAX} characters at most`;
      throw new HranaError('AUTH_JWT_INVALID', message);
    }
    let payload: JWTPayload;
    try {
      const currentDate = new Date(this.#clock.wallMs());
      const options = { algorithms: ['EdDSA'], currentDate };
      payload = (await jwtVerify(jwt, this.#key!, options)).payload;
    } catch (error) {
      throw refusalOf(error);
    }
    const grants = readGrants(payload);
    if (this.#known.size >= TOKENS_COUNT_MAX) {
      const [oldest] = this.#known.keys();
      this.#known.delete(oldest!);
    }
    this.#known.set(jwt, grants);
    return this.#allowed(grants, database);
  }

  #allowed(grants: Grants, database: string): Access {
    const nowMs = this.#clock.wallMs();
    if (nowMs >= grants.untilMs) throw new HranaError('AUTH_JWT_EXPIRED', 'the token has expired');
    if (nowMs < grants.fromMs) {
      throw new HranaError('AUTH_JWT_INVALID', 'the token is not good yet');
    }
    if (grants.readWrite?.has(database)) return 'read-write';
    if (grants.readOnly?.has(database)) return 'read-only';
    const isListed = grants.readWrite !== null || grants.readOnly !== null;
    if (!isListed && (grants.one === null || grants.one === database)) return grants.oneAccess;
    if (grants.schemaOnly?.has(database)) {
      const message = 'the claim p.ddl gives no access by itself; p.rw does, schema included';
      throw new HranaError('AUTH_FORBIDDEN', `the database ${database}: ${message}`);
    }
    throw new HranaError('AUTH_FORBIDDEN', `the token is not for the database ${database}`);
  }
}

async function importPublicKey(text: string): Promise<VerifyKey> {
  if (text.includes('-----BEGIN')) return importSPKI(text, 'EdDSA');
  const x = text.trim();
  if (Buffer.from(x, 'base64url').length !== RAW_KEY_SIZE_BYTES) {
    throw new TypeError(`expected PEM or ${RAW_KEY_SIZE_BYTES} bytes in base64url`);
  }
  return (await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, 'EdDSA')) as VerifyKey;
}

function refusalOf(error: unknown): HranaError {
  const code = (error as { code?: unknown }).code;
  if (code === 'ERR_JWT_EXPIRED')
    return new HranaError('AUTH_JWT_EXPIRED', 'the token has expired');
  return new HranaError('AUTH_JWT_INVALID', `the token is not good: ${(error as Error).message}`);
}

function readGrants(payload: JWTPayload): Grants {
  const { id, a, p } = payload as { id?: unknown; a?: unknown; p?: unknown };
  if (id !== undefined && typeof id !== 'string') throw badClaim('id', 'a string');
  if (a !== undefined && a !== 'ro' && a !== 'rw') throw badClaim('a', 'ro or rw');
  const lists = p === undefined ? null : readLists(p);
  return {
    one: id ?? null,
    oneAccess: a === 'ro' ? 'read-only' : 'read-write',
    readWrite: lists?.readWrite ?? null,
    readOnly: lists?.readOnly ?? null,
    schemaOnly: lists?.schemaOnly ?? null,
    fromMs: (payload.nbf ?? 0) * 1_000,
    untilMs: (payload.exp ?? Number.POSITIVE_INFINITY) * 1_000,
  };
}

function readLists(
  p: unknown,
): Record<'readWrite' | 'readOnly' | 'schemaOnly', ReadonlySet<string>> {
  if (typeof p !== 'object' || p === null) throw badClaim('p', 'an object');
  const { ro, rw, roa, rwa, ddl } = p as Record<string, unknown>;
  return {
    readWrite: new Set([...names(rw), ...names(rwa)]),
    readOnly: new Set([...names(ro), ...names(roa)]),
    schemaOnly: new Set(names(ddl)),
  };
}

function names(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  const list = Array.isArray(value) ? value : (value as { ns?: unknown }).ns;
  if (!Array.isArray(list) || !list.every((name) => typeof name === 'string')) {
    throw badClaim('p', 'lists of databases');
  }
  return list;
}

function badClaim(claim: string, expected: string): HranaError {
  return new HranaError('AUTH_JWT_INVALID', `the claim ${claim}: expected ${expected}`);
}
