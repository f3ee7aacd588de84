// How a uWS app is made, by the only importer of uWebSockets.js: the native module with its
// environment, and the certificates, which node checks first because uWS says nothing of why it
// refuses one.

import type * as uWS from 'uWebSockets.js';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { isMainThread } from 'node:worker_threads';
import type { ListenerTls } from '../config/index.ts';
import { GatewayError } from '../core/index.ts';
import { prepareUwsEnvironment, UWS_ENVIRONMENT } from './listener.ts';

export type * as uWS from 'uWebSockets.js';

/** Loaded on first use, so that a thread that imports this folder does not load it with the wrong
 *  environment: the limits are read once for the process. */
export async function loadUws(): Promise<typeof uWS> {
  if (isMainThread) prepareUwsEnvironment();
  for (const [name, value] of Object.entries(UWS_ENVIRONMENT)) {
    if (process.env[name] === value) continue;
    throw new GatewayError('GW_INTERNAL', `${name} must be ${value} before a worker starts`);
  }
  return import('uWebSockets.js');
}

/** Makes an app with the certificates as they are on disk now. `addRoutes` is called for the app,
 *  and for each further name. Errors: GW_CONFIG_FILE, GW_CONFIG_BAD_VALUE, GW_CONFIG_CONFLICT. */
export function createApp(
  native: typeof uWS,
  tls: ListenerTls | null,
  addRoutes: (app: uWS.TemplatedApp) => void,
): uWS.TemplatedApp {
  // All are checked before there is an app, which would have to be closed again.
  for (const { cert, key } of tls === null ? [] : [tls, ...tls.sni]) checkCertificate(cert, key);
  const app = createBare(native, tls);
  addRoutes(app);
  for (const { host: name, cert, key } of tls?.sni ?? []) {
    app.addServerName(name, { cert_file_name: cert, key_file_name: key });
    addRoutes(app.domain(name));
  }
  return app;
}

function createBare(native: typeof uWS, tls: ListenerTls | null): uWS.TemplatedApp {
  if (tls === null) return native.App();
  if (tls.clientCa !== '') {
    throw new GatewayError('GW_CONFIG_CONFLICT', 'clientCa needs engine node, uws cannot check it');
  }
  return native.SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key });
}

function checkCertificate(certPath: string, keyPath: string): void {
  const [cert, key] = [certPath, keyPath].map((path) => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new GatewayError('GW_CONFIG_FILE', path, error);
    }
  });
  try {
    createSecureContext({ cert: cert!, key: key! });
  } catch (error) {
    throw new GatewayError('GW_CONFIG_BAD_VALUE', `${certPath} with ${keyPath}`, error);
  }
}
