// The part of loading that does I/O: the configuration file itself, and the files it names.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { CONFIG_FILE_SIZE_BYTES_MAX } from '../core/index.ts';
import { readText } from './document.ts';
import { type ConfigIssue, formatPath, type PathPart } from './issue.ts';
import { type LoadResult, loadConfig } from './load.ts';
import type { Config } from './model.ts';

/** Reads and checks a configuration file, and every file it names. Never rejects for what is
 *  wrong with them. Errors: issues, as of loadConfig and checkFiles. */
export async function loadConfigFile(fileName: string): Promise<LoadResult> {
  const read = await readConfigText(fileName);
  if (typeof read !== 'string') return { ok: false, issues: [read] };
  const result = loadConfig(read, fileName);
  if (!result.ok) return result;
  const issues = checkFiles(result.config, { text: read, fileName });
  return issues.length === 0 ? result : { ok: false, issues };
}

async function readConfigText(fileName: string): Promise<string | ConfigIssue> {
  const place = { file: fileName, line: 0, column: 0, path: '' };
  try {
    const { size } = await stat(fileName);
    if (size > CONFIG_FILE_SIZE_BYTES_MAX) {
      const message = `${size} bytes, the limit is ${CONFIG_FILE_SIZE_BYTES_MAX}`;
      return { ...place, code: 'GW_CONFIG_LIMIT', message };
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(fileName));
  } catch (cause) {
    if (cause instanceof TypeError && 'code' in cause) {
      return { ...place, code: 'GW_CONFIG_SYNTAX', message: 'the file is not UTF-8' };
    }
    return { ...place, code: 'GW_CONFIG_FILE', message: `cannot be read: ${reasonOf(cause)}` };
  }
}

/** Checks that every file the configuration names can be read and is what it should be: PEM, and
 *  a key that fits its certificate. Errors: GW_CONFIG_FILE. Blocks while it reads. `source` gives
 *  the issues their lines. */
export function checkFiles(
  config: Config,
  source: { readonly text: string; readonly fileName: string },
): readonly ConfigIssue[] {
  const found: { readonly path: readonly PathPart[]; readonly message: string }[] = [];
  for (const [index, { tls }] of config.listeners.entries()) {
    if (tls === null) continue;
    const at = ['listen', index, 'tls'];
    found.push(...checkPair(at, tls.cert, tls.key));
    if (tls.clientCa !== '') found.push(...checkCertificate([...at, 'clientCa'], tls.clientCa));
    for (const [entry, sni] of tls.sni.entries()) {
      found.push(...checkPair([...at, 'sni', entry], sni.cert, sni.key));
    }
  }
  for (const { name, tls } of config.services) {
    if (tls.ca !== '') found.push(...checkCertificate(['services', name, 'tls', 'ca'], tls.ca));
  }
  if (config.distribution !== null) {
    const { headKey, signingKey } = config.distribution;
    found.push(...checkKey(['distribution', 'headKey'], headKey));
    if (signingKey !== '') found.push(...checkKey(['distribution', 'signingKey'], signingKey));
  }
  if (found.length === 0) return [];
  const read = readText(source.text);
  return found.map(({ path, message }) => {
    const { line, column } = read.ok ? read.locate(path, 'value') : { line: 0, column: 0 };
    const place = { file: source.fileName, line, column, path: formatPath(path) };
    return { code: 'GW_CONFIG_FILE', ...place, message };
  });
}

interface FileIssue {
  readonly path: readonly PathPart[];
  readonly message: string;
}

function checkPair(at: readonly PathPart[], cert: string, key: string): readonly FileIssue[] {
  const issues = [...checkCertificate([...at, 'cert'], cert), ...checkKey([...at, 'key'], key)];
  if (issues.length > 0) return issues;
  const certificate = new X509Certificate(readFileSync(cert));
  if (certificate.checkPrivateKey(createPrivateKey(readFileSync(key)))) return [];
  return [{ path: [...at, 'key'], message: `${key} is not the key of ${cert}` }];
}

function checkCertificate(path: readonly PathPart[], file: string): readonly FileIssue[] {
  return checkFile(path, file, {
    expected: 'a certificate in PEM',
    parse: (pem) => void new X509Certificate(pem),
  });
}

function checkKey(path: readonly PathPart[], file: string): readonly FileIssue[] {
  return checkFile(path, file, {
    expected: 'a private key in PEM without a passphrase',
    parse: (pem) => void createPrivateKey(pem),
  });
}

function checkFile(
  path: readonly PathPart[],
  file: string,
  content: { readonly expected: string; parse(pem: Buffer): void },
): readonly FileIssue[] {
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (cause) {
    return [{ path, message: `${file} cannot be read: ${reasonOf(cause)}` }];
  }
  try {
    content.parse(pem);
    return [];
  } catch {
    return [{ path, message: `expected ${content.expected} in ${file}` }];
  }
}

function reasonOf(cause: unknown): string {
  if (typeof cause === 'object' && cause !== null && 'code' in cause) return String(cause.code);
  return String(cause);
}
