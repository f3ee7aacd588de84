import { listenerSuite } from './listener.suite.ts';

listenerSuite('uws');
