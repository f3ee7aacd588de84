// `npm start`: two example services, a gateway in front of them, and four lines to try.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startService } from './services.ts';

const LINES_TO_TRY = `
Sluice is running on http://127.0.0.1:8080. Try, in another terminal:

  a route            curl -i http://127.0.0.1:8080/api/wallets/7
  a weighted split   for i in $(seq 20); do curl -s http://127.0.0.1:8080/api/canary/x; done
  a rate limit       for i in 1 2 3 4; do curl -si -X POST http://127.0.0.1:8080/api/grab; done
  the metrics        curl -s http://127.0.0.1:9901/metrics | grep sluice_requests

Ctrl-C stops it.
`;

const READY_MS_MAX = 60_000;

async function isReady(): Promise<boolean> {
  try {
    return (await fetch('http://127.0.0.1:9901/readyz')).ok;
  } catch {
    return false;
  }
}

async function main(): Promise<number> {
  const here = dirname(fileURLToPath(import.meta.url));
  const services = [await startService('wallet', 9001), await startService('wallet-next', 9002)];
  const config = join(here, '..', 'examples', 'sluice.yaml');
  const gateway = spawn(process.execPath, [join(here, 'sluice.js'), 'serve', '-c', config], {
    stdio: 'inherit',
  });
  const ended = once(gateway, 'exit');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => gateway.kill('SIGTERM'));
  }
  const deadline = AbortSignal.timeout(READY_MS_MAX);
  while (gateway.exitCode === null && gateway.signalCode === null && !deadline.aborted) {
    if (await isReady()) {
      console.log(LINES_TO_TRY);
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const [code] = (await ended) as [number | null];
  for (const { server } of services) server.close().closeAllConnections();
  return code ?? 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`the example cannot start: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
