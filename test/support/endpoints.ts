// Endpoints for tests of balancing.

import type { EndpointConfig } from '../../host/config/index.ts';
import { createEndpoints, type EndpointState } from '../../host/mesh/balance/balancer.ts';

export function endpointConfig(port: number, weight = 1): EndpointConfig {
  return {
    protocol: 'http',
    host: '127.0.0.1',
    port,
    authority: `127.0.0.1:${port}`,
    weight,
    labels: {},
  };
}

/** One endpoint for each weight, on ports from 9000 on. */
export function endpointsOf(weights: readonly number[]): EndpointState[] {
  return createEndpoints(
    weights.map((weight, index) => endpointConfig(9000 + index, weight)),
    [],
  );
}
