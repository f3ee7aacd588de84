// The name under which an endpoint counts: one endpoint may stand in two services, and its
// counters are kept apart. A service's name holds no space; an authority neither.

/** `wallet 127.0.0.1:9001`. */
export function endpointSeriesName(service: string, authority: string): string {
  return `${service} ${authority}`;
}

/** The parts of a name made by endpointSeriesName(); a shared series is both. */
export function splitEndpointSeriesName(name: string): { service: string; authority: string } {
  const space = name.lastIndexOf(' ');
  if (space < 0) return { service: name, authority: name };
  return { service: name.slice(0, space), authority: name.slice(space + 1) };
}
