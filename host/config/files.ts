// The part of loading that does I/O: the configuration file itself, and the files it names.

import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { isGatewayError } from '../core/index.ts';
import { readText } from './document.ts';
import { type ConfigIssue, formatPath, type PathPart } from './issue.ts';
import { type LoadResult, loadConfig } from './load.ts';
import type { Config, PluginConfig } from './model.ts';
import { readConfigText, readPlainFileSync } from './plain-file.ts';

/** NUL, `asm`. */
const WASM_MAGIC = 0x0061_736d;

/** Reads and checks a configuration file, and every file it names. Never rejects for what is
 *  wrong with them. Errors: issues, as of loadConfig and checkFiles. */
export async function loadConfigFile(fileName: string): Promise<LoadResult> {
  let text: string;
  try {
    text = await readConfigText(fileName);
  } catch (cause) {
    if (!isGatewayError(cause)) throw cause;
    const { code, detail } = cause;
    const place = { file: fileName, line: 0, column: 0, path: '' };
    return { ok: false, issues: [{ code, ...place, message: detail }], isComplete: false };
  }
  const result = loadConfig(text, fileName);
  if (!result.ok) return result;
  const issues = checkFiles(result.config, { text, fileName });
  return issues.length === 0 ? result : { ok: false, issues, isComplete: true };
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
  for (const [index, plugin] of config.plugins.entries()) {
    if (plugin.file !== '') found.push(...checkModule(['plugins', index], plugin));
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
  const certificate = new X509Certificate(readPlainFileSync(cert));
  if (certificate.checkPrivateKey(createPrivateKey(readPlainFileSync(key)))) return [];
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

/** That it is a module, and the one that is meant. Who loads it checks the rest. */
function checkModule(
  at: readonly PathPart[],
  { file, sha256 }: PluginConfig,
): readonly FileIssue[] {
  let bytes: Buffer;
  try {
    bytes = readPlainFileSync(file);
  } catch (cause) {
    const why = isGatewayError(cause) ? cause.detail : cause;
    return [{ path: [...at, 'file'], message: `${file}: ${why}` }];
  }
  if (bytes.length < 8 || bytes.readUInt32BE(0) !== WASM_MAGIC) {
    return [{ path: [...at, 'file'], message: `expected a WebAssembly module in ${file}` }];
  }
  const found = createHash('sha256').update(bytes).digest('hex');
  if (sha256 === '' || sha256 === found) return [];
  return [{ path: [...at, 'sha256'], message: `${file} has the sha256 ${found}` }];
}

function checkFile(
  path: readonly PathPart[],
  file: string,
  content: { readonly expected: string; parse(pem: Buffer): void },
): readonly FileIssue[] {
  let pem: Buffer;
  try {
    pem = readPlainFileSync(file);
  } catch (cause) {
    return [{ path, message: `${file}: ${isGatewayError(cause) ? cause.detail : cause}` }];
  }
  try {
    content.parse(pem);
    return [];
  } catch {
    return [{ path, message: `expected ${content.expected} in ${file}` }];
  }
}
