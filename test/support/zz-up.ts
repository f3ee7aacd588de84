import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { open } from './client.ts';
import { startGateway } from './gateway.ts';
import { startOrigin } from './origin.ts';

const size = Number(process.argv[2] ?? 1024) * 1048576;
const origin = await startOrigin('o', (req, res) => {
  let n = 0;
  const h = createHash('sha1');
  req.on('data', (c: Buffer) => {
    n += c.length;
    h.update(c);
  });
  req.on('error', (e) => console.log('origin error', e.message, n));
  req.on('end', () => res.end(String(n)));
});
const g = await startGateway({
  config: {
    services: { origin: { endpoints: [origin.url] } },
    routes: [{ match: { path: '/*' }, to: 'origin' }],
    log: { access: 'text' },
  },
  listener: { engine: process.argv[3] ?? 'uws' },
});
const B = Buffer.alloc(999983, 'x');
async function* gen() {
  let s = 0;
  while (s < size) {
    const b = B.subarray(0, Math.min(B.length, size - s));
    yield b;
    s += b.length;
  }
}
let sent = 0;
const req = open(g.url, { method: 'POST', headers: { 'content-length': String(size) } }, () => {});
Readable.from(gen())
  .on('data', (c: Buffer) => {
    sent += c.length;
  })
  .pipe(req);
try {
  const [r] = (await once(req, 'response')) as any;
  let t = '';
  for await (const c of r) t += c;
  console.log(r.statusCode, t);
} catch (e) {
  console.log('client', e, sent);
}
await new Promise((r) => setTimeout(r, 300));
console.log(g.log(), g.output());
console.log((await g.metrics()).match(/sluice_refused.*/g));
await g.stop();
await origin.stop();
