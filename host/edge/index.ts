// Listeners: sockets in, exchanges out.

export type { Listener, ListenerOptions } from './listener.ts';
export { assertPortFree, prepareUwsEnvironment, UWS_ENVIRONMENT } from './listener.ts';
export { listenNode } from './node.ts';
export { boundReceiveBuffers } from './receive-window.ts';
export { listenUws } from './uws.ts';
