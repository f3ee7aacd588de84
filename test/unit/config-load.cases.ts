// Bad configurations with the exact place of each issue. `issues` are `LINE:COLUMN KEY CODE |
// part of the message`, in order.

export interface BadCase {
  readonly title: string;
  readonly text: string;
  readonly issues: readonly string[];
}

/** A good file of three lines; cases add to it from line 4. */
export const BASE = `listen: [{ port: 8080 }]
services:
  a: { endpoints: ["http://a:1"] }
`;

function bad(title: string, text: string, ...issues: readonly string[]): BadCase {
  return { title, text, issues };
}

/** BASE with one route, which stands in line 5. */
function route(title: string, text: string, ...issues: readonly string[]): BadCase {
  return bad(title, `${BASE}routes:\n  - ${text}\n`, ...issues);
}

/** BASE with one more service, in line 4. */
function service(title: string, text: string, ...issues: readonly string[]): BadCase {
  return bad(title, `${BASE}  b: ${text}\n`, ...issues);
}

const BAD = 'GW_CONFIG_BAD_VALUE';
const CONFLICT = 'GW_CONFIG_CONFLICT';
const MISSING = 'GW_CONFIG_MISSING';
const UNKNOWN = 'GW_CONFIG_UNKNOWN_KEY';
const NOT_BUILT = 'GW_CONFIG_NOT_BUILT';
const SYNTAX = 'GW_CONFIG_SYNTAX';
const LIMIT = 'GW_CONFIG_LIMIT';

const TEXT_CASES: readonly BadCase[] = [
  bad('an empty file', '', `1:1  ${BAD} | found nothing`),
  bad('a list', '- 1\n', `1:1  ${BAD} | found a list of 1`),
  bad('a scalar', 'hello', `1:1  ${BAD} | found "hello"`),
  bad('broken flow', 'listen: [{ port: 1 }\n', `1:9  ${SYNTAX} | [ that begins here is not closed`),
  bad('no colon', `${BASE}routes\n  - match: {}\n`, `4:1  ${SYNTAX} | is a colon missing?`),
  // The place was where the parser gave up, often the end of the file.
  bad(
    'a map that is not closed',
    `${BASE}routes:\n  - { match: {}, to: a\n  - { match: {}, to: a }\n`,
    `5:5  ${SYNTAX} | the { that begins here is not closed by line 6`,
  ),
  bad(
    'a list closed as a map',
    `${BASE}routes:\n  - match: { methods: [GET }\n    to: a\n`,
    `5:23  ${SYNTAX} | the [ that begins here is not closed by line 5`,
  ),
  bad(
    'a quote that is not closed',
    `${BASE}routes:\n  - name: "pay\n    match: {}\n    to: a\n`,
    `5:11  ${SYNTAX} | the " that begins here is not closed by line 8`,
  ),
  bad(
    'braces in a plain text',
    'log: { level: a/{b} }\n',
    `1:17  ${SYNTAX} | put the text in quotes`,
  ),
  bad('a key twice', `${BASE}services: {}\n`, `4:1  ${SYNTAX} | "services" stands twice`),
  bad('a JSON key twice', '{"listen":[],\n"listen":[]}', `2:1  ${SYNTAX} | stands twice`),
  bad(
    'two documents',
    `${BASE}---\n${BASE}`,
    `4:1  ${SYNTAX} | expected one document, found a second`,
  ),
  bad('a merge key', `${BASE}log: { <<: {} }\n`, `4:8  ${SYNTAX} | merge keys`),
  bad('a directive', `%YAML 1.1\n---\n${BASE}`, `1:1  ${SYNTAX} | directive`),
  bad('an unknown tag', 'listen: !!python/object x', `1:9  ${SYNTAX} | tag`),
  bad('a tab as indentation', 'log:\n\tlevel: info\n', `2:1  ${SYNTAX} | tabs`),
  bad('a NUL', 'listen:\n  \0', `2:3  ${SYNTAX} | 0x00`),
  bad('an unknown alias', `${BASE}log: *x\n`, `4:6  ${SYNTAX} | x`),
  bad('a map as a key', `${BASE}? { a: b }\n: c\n`, `4:3  ${SYNTAX} | expected a text as the key`),
];

const TOP_CASES: readonly BadCase[] = [
  bad('no listeners', 'services: {}\n', `1:1 listen ${MISSING} | expected a list of listeners`),
  bad('listen: []', 'listen: []\n', `1:9 listen ${BAD} | at least 1`),
  bad(
    'unknown keys, with suggestions',
    `${BASE}rutes: []\nlogg: {}\nzzz: 1\n`,
    `4:1 rutes ${UNKNOWN} | did you mean "routes"?`,
    `5:1 logg ${UNKNOWN} | did you mean "log"?`,
    `6:1 zzz ${UNKNOWN} | expected listen, trustedProxies`,
  ),
  bad(
    'features that are not built',
    `${BASE}lanes: {}\ndb: {}\n`,
    `4:1 lanes ${NOT_BUILT} | not in this version`,
    '5:1 db.dir GW_CONFIG_MISSING | expected a folder',
  ),
  bad('a key without a value', `${BASE}log:\n`, `4:1 log ${BAD} | give it a value`),
  bad(
    'a port',
    'listen: [{ port: 70000 }]',
    `1:18 listen[0].port ${BAD} | 0 to 65535, found 70000`,
  ),
  bad('a port as text', 'listen: [{ port: "1" }]', `1:18 listen[0].port ${BAD} | found "1"`),
  bad('a fraction', 'listen: [{ port: 1.5 }]', `1:18 listen[0].port ${BAD} | found 1.5`),
  bad('infinity', 'listen: [{ port: .inf }]', `1:18 listen[0].port ${BAD} | whole number`),
  bad(
    'a port twice',
    'listen:\n  - { port: 80 }\n  - { port: 80, address: 127.0.0.1 }\n',
    `3:13 listen[1].port ${CONFLICT} | taken by listen[0]`,
  ),
  bad(
    'the port of admin',
    'listen: [{ port: 9901 }]\n',
    `1:1 admin.port ${CONFLICT} | taken by listen[0]`,
  ),
  bad(
    'an address',
    'listen: [{ port: 1, address: 1 }]',
    `1:30 listen[0].address ${BAD} | put it in quotes`,
  ),
  bad(
    'a host as address',
    'listen: [{ port: 1, address: a.b }]',
    `1:30 listen[0].address ${BAD} | an IP address`,
  ),
  bad(
    'client certificates on uws',
    'listen:\n  - port: 1\n    tls: { cert: a, key: b, clientCa: c }\n',
    `3:39 listen[0].tls.clientCa ${CONFLICT} | engine: node`,
  ),
  bad(
    'certificates for one name twice',
    'listen:\n  - port: 1\n    tls:\n      cert: a\n      key: b\n      sni:\n' +
      '        - { host: a.b, cert: c, key: d }\n        - { host: A.b, cert: c, key: d }\n',
    `8:19 listen[0].tls.sni[1].host ${CONFLICT} | a.b stands twice`,
  ),
  bad(
    'admin without a token',
    `${BASE}admin: { address: 0.0.0.0 }\n`,
    `4:1 admin.token ${CONFLICT} | needs a token`,
  ),
  bad(
    'a network',
    `${BASE}trustedProxies: [10.0.0.1/8]\n`,
    `4:18 trustedProxies[0] ${BAD} | 10.0.0.0/8`,
  ),
  bad(
    'no network',
    `${BASE}trustedProxies: [10.0.0/8]\n`,
    `4:18 trustedProxies[0] ${BAD} | expected`,
  ),
  bad('workers', `${BASE}workers: { io: 63 }\n`, `4:16 workers.io ${BAD} | 1 to 62, found 63`),
  bad(
    'db workers',
    `${BASE}workers: { db: 99 }\n`,
    '4:16 workers.db GW_CONFIG_BAD_VALUE | expected a whole number from 1 to 32',
  ),
  bad('workers as text', `${BASE}workers: { io: many }\n`, `4:16 workers.io ${BAD} | auto, or`),
];

const SERVICE_CASES: readonly BadCase[] = [
  service('no endpoints', '{}', `4:3 services.b.endpoints ${MISSING} | expected a list`),
  service('an empty list', '{ endpoints: [] }', `4:19 services.b.endpoints ${BAD} | at least 1`),
  service(
    'endpoint URLs',
    '{ endpoints: [ "ftp://a", "http://u:p@a", "http://a/x", "http://a?x", "http://", "a:1" ] }',
    `4:21 services.b.endpoints[0] ${BAD} | a URL like`,
    `4:32 services.b.endpoints[1] ${BAD} | no credentials`,
    `4:48 services.b.endpoints[2] ${BAD} | no path`,
    `4:62 services.b.endpoints[3] ${BAD} | no path`,
    `4:76 services.b.endpoints[4] ${BAD} | a URL like`,
    `4:87 services.b.endpoints[5] ${BAD} | a URL like`,
  ),
  service(
    'an endpoint port',
    '{ endpoints: [ "http://a:0", "http://a:65536" ] }',
    `4:21 services.b.endpoints[0] ${BAD} | a URL`,
    `4:35 services.b.endpoints[1] ${BAD} | a URL`,
  ),
  service(
    'an endpoint twice',
    '{ endpoints: [ "http://a", "http://a:80" ] }',
    `4:33 services.b.endpoints[1] ${CONFLICT} | stands twice`,
  ),
  service(
    'weights',
    '{ endpoints: [ { url: "http://a", weight: 1001 }, { url: "http://b", weight: -1 } ] }',
    `4:48 services.b.endpoints[0].weight ${BAD} | 0 to 1000, found 1001`,
    `4:83 services.b.endpoints[1].weight ${BAD} | found -1`,
  ),
  service(
    'all weights 0',
    '{ endpoints: [ { url: "http://a", weight: 0 } ] }',
    `4:19 services.b.endpoints ${CONFLICT} | every weight is 0`,
  ),
  service(
    'balance',
    '{ endpoints: ["http://a"], balance: fastest }',
    `4:42 services.b.balance ${BAD} | round-robin, random`,
  ),
  service(
    'a hash without hashOn',
    '{ endpoints: ["http://a"], balance: maglev }',
    `4:3 services.b.hashOn ${CONFLICT} | needs to know`,
  ),
  service(
    'hashOn without a hash',
    '{ endpoints: ["http://a"], hashOn: client.ip }',
    `4:33 services.b.hashOn ${CONFLICT} | does not hash`,
  ),
  service(
    'hashOn of a form it lacks',
    '{ endpoints: ["http://a"], balance: maglev, hashOn: route }',
    `4:58 services.b.hashOn ${BAD} | client.ip, header:NAME`,
  ),
  service(
    'timeouts',
    '{ endpoints: ["http://a"], timeouts: { connect: 0ms, request: 25h, idle: 5 } }',
    `4:54 services.b.timeouts.connect ${BAD} | from 1ms to 24h`,
    `4:68 services.b.timeouts.request ${BAD} | from 1ms to 24h`,
    `4:79 services.b.timeouts.idle ${BAD} | expected a duration from 1ms to 24h, like`,
  ),
  service(
    'tls over http',
    '{ endpoints: ["http://a"], tls: {} }',
    `4:33 services.b.tls ${CONFLICT} | https`,
  ),
  service(
    'what is not built',
    '{ endpoints: ["http://a"], retries: {}, health: {} }',
    `4:33 services.b.retries ${NOT_BUILT} | not in this version`,
    `4:46 services.b.health ${NOT_BUILT} | not in this version`,
  ),
  bad(
    'a name',
    `${BASE}  "a b": { endpoints: ["http://a"] }\n`,
    `4:3 services["a b"] ${BAD} | a name`,
  ),
  bad(
    'a prototype',
    `${BASE}  __proto__: { endpoints: ["http://a"] }\n`,
    `4:3 services.__proto__ ${BAD} | a name`,
  ),
];

const MANY_PARAMETERS = Array.from({ length: 17 }, (_, index) => `/{p${index}}`).join('');

/** BASE with one plugin, in line 5. */
function plugin(title: string, text: string, ...issues: readonly string[]): BadCase {
  return bad(title, `${BASE}plugins:\n  - ${text}\n`, ...issues);
}

const PLUGIN_CASES: readonly BadCase[] = [
  plugin('no source', '{ name: p }', `5:5 plugins[0].file ${MISSING} | expected file or url`),
  plugin('no name', '{ file: p.wasm }', `5:5 plugins[0].name ${MISSING} | a name`),
  plugin(
    'two sources',
    `{ name: p, file: a, url: "http://a/b", sha256: ${'a'.repeat(64)} }`,
    `5:25 plugins[0].url ${CONFLICT} | found both`,
  ),
  plugin(
    'a url without a hash',
    '{ name: p, url: "http://a/b" }',
    `5:5 plugins[0].sha256 ${CONFLICT} | its hash is known`,
  ),
  plugin(
    'a url that is none, a hash that is none, a config without a value',
    '{ name: p, url: "ftp://a/b", sha256: abc, config: null }',
    `5:21 plugins[0].url ${BAD} | http:// or https://`,
    `5:42 plugins[0].sha256 ${BAD} | 64 hexadecimal digits`,
    `5:55 plugins[0].config ${BAD} | give it a value`,
  ),
  plugin(
    'a config that JSON cannot say',
    '{ name: p, file: a, config: { a: [.inf] }, vmConfig: !!binary aGk= }',
    `5:33 plugins[0].config ${BAD} | no infinity`,
    `5:67 plugins[0].vmConfig ${BAD} | no binary`,
  ),
  plugin(
    'numbers beyond their limits',
    '{ name: p, file: a, limits: { memory: 2GiB, steps: 1, body: 2GiB, httpCalls: -1 } }',
    `5:43 plugins[0].limits.memory ${LIMIT} | 64KiB to 1GiB`,
    `5:56 plugins[0].limits.steps ${BAD} | from 1000`,
    `5:65 plugins[0].limits.body ${LIMIT} | at most 1GiB`,
    `5:82 plugins[0].limits.httpCalls ${BAD} | from 0`,
  ),
  plugin(
    'words that are none',
    '{ name: p, file: a, phase: auth, isolation: none, capabilities: [Log], env: { A-B: c } }',
    `5:32 plugins[0].phase ${BAD} | one of authn, authz, none, stats`,
    `5:49 plugins[0].isolation ${BAD} | one of shared, request, tenant`,
    `5:70 plugins[0].capabilities[0] ${BAD} | the name of a host function`,
    `5:83 plugins[0].env.A-B ${BAD} | letters, digits and _`,
  ),
  plugin(
    'a url that is watched',
    `{ name: p, url: "http://a/", sha256: ${'a'.repeat(64)}, watch: true }`,
    `5:108 plugins[0].watch ${CONFLICT} | only a file can be watched`,
  ),
  plugin(
    'tenants without a key',
    '{ name: p, file: a, isolation: tenant }',
    `5:5 plugins[0].tenant ${CONFLICT} | what a tenant is`,
  ),
  plugin(
    'a tenant without tenants, a service that is none, a pause above the longest',
    '{ name: p, file: a, tenant: { header: x }, upstreams: { x: b }, reload: { base: 1m } }',
    `5:25 plugins[0].tenant ${CONFLICT} | isolation: shared has no tenants`,
    `5:64 plugins[0].upstreams.x ${BAD} | no service is called "b"`,
    `5:77 plugins[0].reload ${CONFLICT} | longer than max`,
  ),
  bad(
    'a name twice, and routes that name plugins which are not there',
    `${BASE}plugins:\n  - { name: p, file: a }\n  - { name: p, file: a }\n` +
      '  - { name: tick, file: a, background: true }\nroutes:\n' +
      '  - { match: { path: /a }, to: a, filters: [p, q, p] }\n' +
      '  - { match: { path: /b }, to: a, filters: [{ plugin: tick }] }\n' +
      '  - { match: { path: /c }, respond: {}, filters: [p] }\n',
    `6:13 plugins[1].name ${CONFLICT} | taken by plugins[0]`,
    `9:48 routes[0].filters[1] ${BAD} | no plugin is called "q"`,
    `9:51 routes[0].filters[2] ${CONFLICT} | stands twice`,
    `10:55 routes[1].filters[0].plugin ${CONFLICT} | sees no requests`,
    `11:41 routes[2].filters ${CONFLICT} | only a route with \`to\` runs plugins`,
  ),
];

const ROUTE_CASES: readonly BadCase[] = [
  route('no action', '{ match: {} }', `5:5 routes[0].to ${MISSING} | respond, distribution or db`),
  route(
    'two actions',
    '{ match: {}, to: a, respond: {} }',
    `5:25 routes[0].respond ${CONFLICT} | one of`,
  ),
  route(
    'a distribution route without a store',
    '{ match: { path: "/r/*" }, distribution: {} }',
    `5:32 routes[0].distribution ${CONFLICT} | where the store is`,
  ),
  bad(
    'distribution routes that are none',
    `${BASE}distribution: { dir: d, headKey: k }\nroutes:\n` +
      '  - { match: { path: "/r/{x}/*" }, distribution: {} }\n' +
      '  - { match: { path: "/r" }, distribution: {} }\n' +
      '  - { match: { path: "~ ^/r/" }, distribution: {} }\n' +
      '  - { match: { path: "/s/*" }, to: a, distribution: {} }\n' +
      '  - { match: { path: "/t/*" }, distribution: { channels: [A] }, rewrite: {} }\n',
    `6:22 routes[0].match.path ${CONFLICT} | a prefix like /r/*`,
    `7:22 routes[1].match.path ${CONFLICT} | a prefix like /r/*`,
    `8:22 routes[2].match.path ${CONFLICT} | a prefix like /r/*`,
    `9:39 routes[3].distribution ${CONFLICT} | one of`,
    `10:59 routes[4].distribution.channels[0] ${BAD} | a channel`,
  ),
  bad(
    'a distribution of empty names',
    `${BASE}distribution: { dir: "", headExpiry: 1s, limits: { jobs: 0 } }\n`,
    `4:1 distribution.headKey ${MISSING} | missing`,
    `4:22 distribution.dir ${BAD} | a folder`,
    `4:38 distribution.headExpiry ${BAD} | at least 10s`,
    `4:58 distribution.limits.jobs ${BAD} | from 1`,
  ),
  route('no match', '{ to: a }', `5:5 routes[0].match ${MISSING} | missing`),
  route(
    'an unknown service',
    '{ match: {}, to: b }',
    `5:22 routes[0].to ${BAD} | did you mean "a"?`,
  ),
  route(
    'an unknown service in a split',
    '{ match: {}, to: [{ service: a }, { service: zebra }] }',
    `5:50 routes[0].to[1].service ${BAD} | no service is called "zebra"`,
  ),
  route(
    'a service twice',
    '{ match: {}, to: [{ service: a }, { service: a }] }',
    `5:50 routes[0].to[1].service ${CONFLICT} | stands twice`,
  ),
  route(
    'a split of zeros',
    '{ match: {}, to: [{ service: a, weight: 0 }] }',
    `5:22 routes[0].to ${CONFLICT} | every weight is 0`,
  ),
  route(
    'a name twice',
    '{ name: route-1, match: {}, to: a }\n  - { match: { path: /x }, to: a }',
    `6:5 routes[1].name ${CONFLICT} | taken by routes[0]`,
  ),
  route(
    'what never matches, whatever its parameters are called',
    '{ match: { path: "/a/{x}", methods: [GET, PUT] }, to: a }\n' +
      '  - { match: { path: "/a/{y}", methods: [PUT, GET] }, to: a }',
    `6:14 routes[1].match ${CONFLICT} | never matches: routes[0]`,
  ),
  route(
    'hosts',
    '{ match: { host: "a.*.b" }, to: a }\n  - { match: { host: "a:80" }, to: a }\n' +
      '  - { match: { host: "a b" }, to: a }',
    `5:22 routes[0].match.host ${BAD} | first label`,
    `6:22 routes[1].match.host ${BAD} | without its port`,
    `7:22 routes[2].match.host ${BAD} | a host name`,
  ),
  route(
    'methods',
    '{ match: { methods: [get, CONNECT, TRACE, "A B"] }, to: a }',
    `5:26 routes[0].match.methods[0] ${BAD} | did you mean "GET"?`,
    `5:31 routes[0].match.methods[1] ${BAD} | never proxied`,
    `5:40 routes[0].match.methods[2] ${BAD} | never proxied`,
    `5:47 routes[0].match.methods[3] ${BAD} | upper case`,
  ),
  route(
    'a method twice',
    '{ match: { methods: [GET, GET] }, to: a }',
    `5:31 routes[0].match.methods[1] ${CONFLICT} | twice`,
  ),
  route(
    'conditions',
    '{ match: { headers: { a: 1, b: {}, c: { present: false } } }, to: a }',
    `5:30 routes[0].match.headers.a ${BAD} | present: true`,
    `5:36 routes[0].match.headers.b ${BAD} | either present or prefix`,
    `5:54 routes[0].match.headers.c.present ${BAD} | expected true`,
  ),
  route(
    'a header name in two cases',
    '{ match: { headers: { A: x, a: y } }, to: a }',
    `5:33 routes[0].match.headers.a ${CONFLICT} | stands twice`,
  ),
  ...[
    ['a', 'begins with /'],
    ['/a/../b', 'dot segments'],
    ['/a/%2e', 'dot segments'],
    ['/a b', 'space'],
    ['/a#b', '#'],
    ['/a?b', '?'],
    ['/a\\\\b', 'no request path'],
    ['/a%0', 'hexadecimal'],
    ['/a%00', '%00'],
    ['/é', '%C3%A9'],
    ['/*/a', 'only at the end'],
    ['/a*', 'whole last segment'],
    ['/a{b}', 'whole segment'],
    ['/{b}/{b}', 'stands twice'],
    ['/{b c}', 'whole segment'],
    ['~', 'after ~'],
    ['~ (', 'RE2'],
    ['~ (?=a)', 'RE2'],
    ['~ (a)\\\\1', 'RE2'],
  ].map(([path, message]) =>
    route(
      `path ${path}`,
      `{ match: { path: "${path}" }, to: a }`,
      `5:22 routes[0].match.path ${BAD} | ${message}`,
    ),
  ),
  route(
    'too many parameters',
    `{ match: { path: "${MANY_PARAMETERS}" }, to: a }`,
    `5:22 routes[0].match.path ${LIMIT} | 17 path parameters`,
  ),
  route(
    'too many segments',
    `{ match: { path: "${'/a'.repeat(129)}" }, to: a }`,
    `5:22 routes[0].match.path ${LIMIT} | 129 segments`,
  ),
  route(
    'rates',
    '{ match: {}, to: a, rate: [{ limit: 0, per: 1s }, { limit: 1, per: 0s }, { limit: 1 }] }',
    `5:41 routes[0].rate[0].limit ${BAD} | 1 to 1000000000, found 0`,
    `5:72 routes[0].rate[1].per ${BAD} | from 1ms`,
    `5:78 routes[0].rate[2].per ${MISSING} | a duration`,
  ),
  route(
    'rate names and keys',
    '{ match: {}, to: a, rate: [{ name: x, limit: 1, per: 1s }, ' +
      '{ name: x, limit: 1, per: 1s, key: "path:id" }] }',
    `5:72 routes[0].rate[1].name ${CONFLICT} | is taken`,
    `5:99 routes[0].rate[1].key ${BAD} | not captured`,
  ),
  route(
    'headers of the connection',
    '{ match: {}, to: a, headers: { request: { set: { Host: x, Content-Length: "1" }, ' +
      'remove: [te] }, response: { add: { X-Sluice-Reason: "1" } } } }',
    `5:54 routes[0].headers.request.set.host ${BAD} | rewrite.host`,
    `5:63 routes[0].headers.request.set.content-length ${BAD} | belongs to the connection`,
    `5:95 routes[0].headers.request.remove[0] ${BAD} | belongs to the connection`,
    `5:121 routes[0].headers.response.add.x-sluice-reason ${BAD} | gateway's own`,
  ),
  route(
    'the hops of a request',
    '{ match: {}, to: a, headers: { request: { remove: [CDN-Loop] } } }',
    `5:56 routes[0].headers.request.remove[0] ${BAD} | cdn-loop is the gateway's own`,
  ),
  route(
    'header names and values',
    '{ match: {}, to: a, headers: { request: { set: { "a b": x, c: "x\\ny", d: 1 } } } }',
    `5:54 routes[0].headers.request.set["a b"] ${BAD} | a header name`,
    `5:67 routes[0].headers.request.set.c ${BAD} | none of them control`,
    `5:78 routes[0].headers.request.set.d ${BAD} | put it in quotes`,
  ),
  route(
    'a redirect',
    '{ match: { path: "/{x}" }, redirect: { status: 200, to: "/{y}" } }',
    `5:52 routes[0].redirect.status ${BAD} | 301, 302`,
  ),
  route(
    "a redirect's template",
    '{ match: { path: "/{x}" }, redirect: { to: "/{y}" } }',
    `5:48 routes[0].redirect.to ${BAD} | {y} is not captured`,
  ),
  route(
    "redirects' targets",
    '{ match: { path: /a }, redirect: { to: "b.com/" } }\n' +
      '  - { match: { path: /b }, redirect: { to: "/c/*" } }',
    `5:44 routes[0].redirect.to ${BAD} | http:// or https://`,
    `6:44 routes[1].redirect.to ${BAD} | prefix route`,
  ),
  route(
    'a regular expression is no prefix',
    '{ match: { path: "~ ^/a/*" }, to: a, rewrite: { path: "/b/*" } }',
    `5:59 routes[0].rewrite.path ${BAD} | prefix route`,
  ),
  route(
    'a regular expression of too many steps',
    '{ match: { path: "~ (abcdefghij){300}" }, to: a }',
    `5:22 routes[0].match.path ${LIMIT} | steps, the limit is 2048`,
  ),
  route(
    'an answer',
    '{ match: {}, respond: { status: 204, body: x, headers: { date: x } } }',
    `5:48 routes[0].respond.body ${CONFLICT} | no body`,
    `5:62 routes[0].respond.headers.date ${BAD} | gateway's own`,
  ),
  route(
    'upstream keys on an answer',
    '{ match: {}, respond: {}, rewrite: {}, timeouts: {}, headers: { request: { remove: [a] } } }',
    `5:31 routes[0].rewrite ${CONFLICT} | has an upstream`,
    `5:44 routes[0].timeouts ${CONFLICT} | has an upstream`,
    `5:69 routes[0].headers.request ${CONFLICT} | sends a request on`,
  ),
  route(
    'a rewrite',
    '{ match: { path: /a }, to: a, rewrite: { path: "/{x}", host: "a b" } }',
    `5:66 routes[0].rewrite.host ${BAD} | {upstream}`,
  ),
  route(
    "a rewrite's template",
    '{ match: { path: /a }, to: a, rewrite: { path: "/b/*" } }',
    `5:52 routes[0].rewrite.path ${BAD} | prefix route`,
  ),
  route('a size', '{ match: {}, to: a, maxBody: 5 }', `5:34 routes[0].maxBody ${BAD} | like 64KiB`),
  route(
    'what is not built',
    '{ match: {}, to: a, cors: {}, jwt: {} }',
    `5:25 routes[0].cors ${NOT_BUILT} | not in this version`,
    `5:35 routes[0].jwt ${NOT_BUILT} | not in this version`,
  ),
  bad(
    'a hash on a parameter that the route lacks',
    `${BASE}  b: { endpoints: ["http://b"], balance: maglev, hashOn: "path:id" }\n` +
      'routes: [{ match: { path: /a }, to: b }]\n',
    `5:37 routes[0].to ${CONFLICT} | lacks`,
  ),
  bad(
    'timeouts that the services do not agree in',
    `${BASE}  b: { endpoints: ["http://b"], timeouts: { idle: 5s } }\n` +
      'routes:\n  - match: {}\n    to: [{ service: a }, { service: b }]\n' +
      '    timeouts: { request: 1s }\n',
    `8:5 routes[0].timeouts.idle ${CONFLICT} | differ`,
  ),
];

export const BAD_CASES: readonly BadCase[] = [
  ...TEXT_CASES,
  ...TOP_CASES,
  ...SERVICE_CASES,
  ...ROUTE_CASES,
  ...PLUGIN_CASES,
];
