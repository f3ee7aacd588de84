// The distribution plane behind the uws engine.

import { distributionSuite } from './distribution.suite.ts';

distributionSuite('uws');
