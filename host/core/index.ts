// Ground floor: no I/O, no thread, no state beyond a clock and a generator of random numbers.

export { eachAtOnce } from './bounded-work.ts';
export {
  fromByteString,
  isByteString,
  shownByteString,
  toByteString,
} from './byte-string.ts';
export type { Clock } from './clock.ts';
export { ManualClock, systemClock } from './clock.ts';
export {
  type EmbeddedAddon,
  isAddonProvided,
  LMDB_ADDON,
  loadAddon,
  provideAddon,
  UWS_ADDON,
} from './embedded-addon.ts';
export type { ErrorCode, ErrorEntry, ErrorSource, RetryAdvice } from './errors.ts';
export { ERRORS, GatewayError, isGatewayError } from './errors.ts';
export type {
  BodyReader,
  Exchange,
  ExchangeHandler,
  PreparedHead,
  WebSocketChannel,
  WebSocketPeer,
} from './exchange.ts';
export { BODY_SIZE_UNKNOWN } from './exchange.ts';
export type {
  FilterChain,
  FilterFacts,
  FilterOutcome,
  FilterPlane,
  FilterSink,
  FilterStream,
  LocalAnswer,
  ServiceCaller,
  ServiceReply,
  ServiceRequest,
} from './filter-chain.ts';
export type { GrpcCall, GrpcHandler, GrpcRequest } from './grpc.ts';
export { GRPC_STATUS } from './grpc.ts';
export type { HeaderList } from './headers.ts';
export {
  headerValue,
  isFramingHeader,
  isHeaderValue,
  isToken,
  joinedHeaderValue,
  removeHeader,
  setHeader,
} from './headers.ts';
export * from './limits.ts';
export type { PreparedProblem, ProblemResponse } from './problem.ts';
export { prepareProblem, problemResponse, problemWith } from './problem.ts';
export { Progress } from './progress.ts';
export type { Random } from './random.ts';
export { SeededRandom, secretBytes, secretFiller, secretSeed, systemRandom } from './random.ts';
export type { PlaneRoute, RoutePlane } from './route-plane.ts';
export type { FieldCondition, RouteSpec } from './route-spec.ts';
export {
  NO_TRAILERS,
  passableTrailers,
  trailerLines,
  trailersSizeBytes,
} from './trailers.ts';
export { parseDurationMs, parsePercentage, parseSizeBytes } from './units.ts';
export { heldCost, UploadBudget } from './upload-budget.ts';
