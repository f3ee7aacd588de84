// The log's own form of commits, for a database: page deltas.

import type { CommitCodec } from './database-options.ts';
import { CommitEncoder, type PageDelta, Replay } from './log/index.ts';

export function deltaCodec(pageDelta: PageDelta): CommitCodec {
  return {
    newEncoder: () => new CommitEncoder({ pageDelta }),
    newReplay: (target) => new Replay(pageDelta, target),
  };
}
