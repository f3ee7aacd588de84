// The distribution plane: what is published, who gets it, and where it is kept.

export type { Checksums } from './artefact-file.ts';
export type { BaseCounts } from './channel-state.ts';
export {
  listChannels,
  readBaseCounts,
  readChannelState,
  replaceBaseCounts,
  replaceChannelState,
} from './channel-state.ts';
export { checkedContent, readCheckedJson, replaceCheckedJson } from './checked-json.ts';
export type { ArtefactReader, StoredArtefact } from './store.ts';
export { Store } from './store.ts';
export type { ArtefactRef, Encoding } from './store-paths.ts';
export { artefactPath, channelFolder, shownArtefact } from './store-paths.ts';
