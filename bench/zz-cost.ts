import { readFileSync } from 'node:fs';
import { loadModule, PluginBook, pluginSpec, threadServices } from '../host/proxywasm/index.ts';
import { systemClock } from '../host/core/index.ts';
const [,, file = 'build/plugins/request-id.wasm', rootId='request-id', count='200000'] = process.argv;
const services = threadServices({ clock: systemClock, log: (l) => console.log(l.message), logLevel: 'info', services: null });
const book = new PluginBook(services);
const spec = pluginSpec({ name: 't', rootId, config: Buffer.from('{}') });
const bytes = new Uint8Array(readFileSync(file));
const module = loadModule(bytes, { sha256: '', memorySizeBytesMax: spec.limits.memorySizeBytes, strictImports: false });
book.install(spec, module);
const facts: any = { routeName: 'r', scheme: 'http', httpVersion: '1.1', peerAddress: '127.0.0.1', peerPort: 1, localAddress: '1', localPort: 1, startWallMs: 0, serviceName: '', endpointAddress: '', traceparent: '', requestBodySizeBytes: 0, responseBodySizeBytes: 0, durationMs: 0 };
let failed = '';
const sink: any = { onRequestHeaders() { }, onResponseHeaders() {}, onFailure(c: string, d: string) { failed = c + d; } };
const chain = book.chain(['t']);
function one() {
  const s = chain.open(facts, sink);
  s.requestHeaders([':method', 'GET', ':path', '/', ':authority', 'a.example.com', ':scheme', 'http', 'user-agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', 'accept', 'text/html,application/xhtml+xml', 'accept-encoding', 'gzip, br', 'accept-language', 'en-US', 'cookie', 'session=0123456789abcdef', 'x-forwarded-for', '10.1.2.3'], true);
  s.responseHeaders([':status', '200', 'content-type', 'text/plain', 'content-length', '12', 'server', 'origin', 'date', 'Thu, 26 Nov 2026 00:00:00 GMT'], true);
  s.end({ status: 200, reason: 0, details: '' });
}
const n = Number(count);
for (let r = 0; r < 5; r++) {
  const c = process.cpuUsage(); const t = performance.now();
  for (let i = 0; i < n; i++) one();
  const d = process.cpuUsage(c);
  console.log('us/request', ((performance.now() - t) * 1000 / n).toFixed(2), 'cpu', ((d.user + d.system) / n).toFixed(2), failed);
}
console.log(book.stats()[0]);
