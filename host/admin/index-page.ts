// The page a person sees at the root of the admin server: what there is. No script, for a page
// that could act here could be made to act.

const ROWS: readonly (readonly [string, string, string])[] = [
  ['GET', '/metrics', 'Prometheus metrics'],
  ['GET', '/healthz', 'the process is up'],
  ['GET', '/readyz', 'every worker serves a configuration'],
  ['GET', '/config', 'the configuration in use, secrets masked'],
  ['POST', '/config/check', 'checks the YAML in the body'],
  ['POST', '/reload', 'reads the configuration file again'],
  ['GET', '/routes?match=GET+/', 'explains which route answers; add header=name:value'],
  ['GET', '/services', 'services, endpoints and their counters'],
  ['GET', '/latency/{route}', 'latency percentiles; {route}.hgrm for HdrHistogram plotters'],
  ['GET', '/distribution', 'channels, releases, and how far they have come'],
  ['POST', '/distribution/{channel}/{action}', 'rollout, pause, resume or rollback'],
  ['GET', '/databases', 'databases, their sizes and branches'],
  ['PUT', '/databases/{name}', 'makes one: empty, or of the database file in the body'],
  ['DELETE', '/databases/{name}', 'removes one'],
  ['GET', '/databases/{name}/backup', 'the file of SQLite that it is now'],
  ['POST', '/databases/{name}/check', 'reads every page and group of it'],
  [
    'POST',
    '/databases/{name}/branch',
    'a branch: {"as":"other"}, of the past with "lsn" or "time"',
  ],
  ['GET', '/replication', 'whom the databases follow, and how far behind they are'],
  ['POST', '/replication/promote', 'makes a follower the primary'],
  ['GET', '/plugins', 'plugins, what of them runs since when, and their canaries'],
  ['PUT', '/plugins/{name}', 'runs the module in the body; ?canary=5% for a share of requests'],
  ['POST', '/plugins/{name}/{action}', 'rollback, canary, promote or abort'],
  ['POST', '/drain', 'stops taking connections and ends when the last request has'],
];

/** Complete and constant, so nothing in it needs escaping. */
export const INDEX_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Sluice admin</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; }
td { padding: .2rem 1rem .2rem 0; }
code { font-family: ui-monospace, monospace; }
</style>
</head>
<body>
<h1>Sluice admin</h1>
<table>
${ROWS.map(row).join('\n')}
</table>
</body>
</html>
`;

function row([method, path, meaning]: readonly [string, string, string]): string {
  const isLink = method === 'GET' && !path.includes('{');
  const shown = isLink ? `<a href="${path}">${path}</a>` : path;
  return `<tr><td>${method}</td><td><code>${shown}</code></td><td>${meaning}</td></tr>`;
}
