// The distribution plane: what is published, who gets it, and where it is kept.

export type { Checksums } from './artefact-file.ts';
export type { BaseCounts } from './channel-state.ts';
export {
  listChannels,
  readBaseCounts,
  readChannelState,
  readHalt,
  readSchedule,
  readTargeting,
  replaceBaseCounts,
  replaceChannelState,
} from './channel-state.ts';
export type { FromDesk, Outcome, OutcomeReport, ToDesk, Wanted } from './channel-view.ts';
export { checkedContent, readCheckedJson, replaceCheckedJson } from './checked-json.ts';
export { ContentWriter, usedBytesOf } from './content-writer.ts';
export { Deliverer, type DelivererDeps } from './deliver.ts';
export type { DeltaTask, FormResult, VariantTask, ZstdTools } from './delta.ts';
export { bestFullSize, makeDelta, makeVariant } from './delta.ts';
export type { ChannelReport, DeskDeps, DeskReport, ReleaseReport } from './desk.ts';
export { DistributionDesk } from './desk.ts';
export { type Effort, effortFor } from './effort.ts';
export type { Signer } from './envelope.ts';
export { CHANNEL_PATTERN, RESERVED_CHANNELS, VERSION_PATTERN } from './fields.ts';
export { readKeyFile, signersIn } from './key-files.ts';
export { KeyWatch, keyFaults } from './key-watch.ts';
export type { RootOutcome } from './keys.ts';
export { addKey, initKeys, renewRoot, rotateKey, signFile } from './keys.ts';
export type { Collected, StoreScan } from './maintenance.ts';
export { collectGarbage, scanStore } from './maintenance.ts';
export type {
  ChannelState,
  ContentRef,
  HaltRule,
  ReleaseEntry,
  ReleaseManifest,
  Role,
  RolloutStep,
  Targeting,
  TrustRoot,
} from './model.ts';
export { ROLES } from './model.ts';
export type { OutcomeCounts } from './outcome-book.ts';
export type { PublishJobs, PublishOptions, PublishProgress, PublishReport } from './publish.ts';
export { prepareManifest, publish } from './publish.ts';
export type { RuleChange } from './release-changes.ts';
export { changeRule, checkSchedule, retireRelease } from './release-changes.ts';
export { encodeReleaseIndex } from './release-index.ts';
export { ROLLOUT_WHOLE, rolloutAt } from './release-rules.ts';
export { storedSource, treeSource } from './release-source.ts';
export { changeChannelState } from './state-change.ts';
export type { ArtefactReader, StoredArtefact } from './store.ts';
export { Store } from './store.ts';
export { LOCK_PATIENCE_MS, StoreLock } from './store-lock.ts';
export type { ArtefactRef, Encoding } from './store-paths.ts';
export { artefactPath, channelFolder, shownArtefact } from './store-paths.ts';
export { StoreWriter } from './store-writer.ts';
export {
  entryOf,
  openStoredManifest,
  readManifestEnvelope,
  readStoredManifest,
} from './stored-manifest.ts';
export { installRoots, newestRoot, readRootChain, readRootEnvelope } from './trust-root-chain.ts';
