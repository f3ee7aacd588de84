// The distribution plane behind the node engine.

import { distributionSuite } from './distribution.suite.ts';

distributionSuite('node');
