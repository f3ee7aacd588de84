// Buckets as they lie in one entry of shared data, which is never deleted: there are as many
// entries as a filter has sets, and in each set eight ways. Only a full bucket is given up for a
// new key, for it says no more than no bucket does; where none is full, keys share the last way.
//
//   a way    | hash of the key 8 | tokens 8, f64 | time 8, f64 seconds |
//   a set    eight ways; 192 bytes

const WAYS_COUNT: i32 = 8;
const WAY_SIZE_BYTES: i32 = 24;
export const WAYS_SIZE_BYTES: i32 = 192;

export class Policy {
  capacity: f64 = 0;
  perSecond: f64 = 0;
  windowSeconds: f64 = 0;
}

export class Taken {
  isAllowed: bool = false;
  left: f64 = 0;
  /** Until there is a whole token. */
  waitSeconds: f64 = 0;
}

/** Takes one token for a key out of the set at `ptr`. Cost: one look at each way. */
export function take(ptr: usize, hash: u64, now: f64, policy: Policy): Taken {
  // 0 marks a way that nobody has.
  const id = hash == 0 ? 1 : hash;
  const way = findWay(ptr, id, now, policy);
  const tokens = tokensAt(way, now, policy);
  const taken = new Taken();
  taken.isAllowed = tokens >= 1;
  taken.left = taken.isAllowed ? tokens - 1 : tokens;
  if (taken.left < 1) taken.waitSeconds = (1 - taken.left) / policy.perSecond;
  store<f64>(way, taken.left, 8);
  // A clock that went back fills nothing until it is where it was.
  store<f64>(way, max(now, load<f64>(way, 16)), 16);
  return taken;
}

function tokensAt(way: usize, now: f64, policy: Policy): f64 {
  const elapsed = max(0, now - load<f64>(way, 16));
  return min(policy.capacity, load<f64>(way, 8) + elapsed * policy.perSecond);
}

/** In bounds: every way lies in the 192 bytes of the set. */
function findWay(ptr: usize, id: u64, now: f64, policy: Policy): usize {
  let free: usize = 0;
  for (let index = 0; index < WAYS_COUNT; index++) {
    const way = ptr + index * WAY_SIZE_BYTES;
    const owner = load<u64>(way);
    if (owner == id) return way;
    if (free == 0 && (owner == 0 || tokensAt(way, now, policy) >= policy.capacity)) free = way;
  }
  if (free == 0) return ptr + (WAYS_COUNT - 1) * WAY_SIZE_BYTES;
  store<u64>(free, id);
  store<f64>(free, policy.capacity, 8);
  store<f64>(free, now, 16);
  return free;
}
