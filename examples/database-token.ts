// Keys and tokens for `db.auth`, as docs/databases.md uses them:
//
//   npx tsx examples/database-token.ts key db-key.pem
//   npx tsx examples/database-token.ts token db-key.pem '{ "id": "shop", "a": "rw" }' 8h
//
// The first makes a key, whose private half only who makes tokens may read, and prints what the
// gateway is to know of it. The second prints a token with these claims, good for so long.

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { SignJWT } from 'jose';

const USAGE = `usage: database-token.ts key FILE
       database-token.ts token FILE CLAIMS [TIME, such as 8h or 30 days]`;

/** Makes a key and returns `db.auth.publicKey`. Replaces no file. */
function makeKey(path: string): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(path, pem, { mode: 0o600, flag: 'wx' });
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return x as string;
}

function makeToken(path: string, claims: Record<string, unknown>, time: string): Promise<string> {
  const key = createPrivateKey(readFileSync(path));
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA' })
    .setIssuedAt()
    .setExpirationTime(time)
    .sign(key);
}

const [action, path, claims, time = '1h'] = process.argv.slice(2);
if (action === 'key' && path !== undefined) {
  console.log(makeKey(path));
} else if (action === 'token' && path !== undefined && claims !== undefined) {
  console.log(await makeToken(path, JSON.parse(claims), time));
} else {
  console.error(USAGE);
  process.exitCode = 2;
}
