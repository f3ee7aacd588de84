// Which release a device gets. Pure: rules, a device and the time in, a release out; every worker
// and every test comes to the same answer.

import { createHash } from 'node:crypto';
import { compileVersionRange } from './app-version.ts';
import type { Device, ReleaseRule, RolloutStep, Targeting } from './model.ts';

/** Rollouts are counted in devices of this many. */
export const ROLLOUT_WHOLE = 10_000;

/** A device's place in a release's rollout, from 0 to 9,999: the same device always has the same
 *  place, so that a larger rollout only adds devices, and each release has an order of its own. */
export function rolloutBucket(deviceId: string, salt: string): number {
  const digest = createHash('sha256').update(`${deviceId}:${salt}`).digest();
  // 48 bits: exact as a number, and their remainder is even to one part in 10^10.
  return digest.readUIntBE(0, 6) % ROLLOUT_WHOLE;
}

/** The share of a release at a time: what is set, or the last step that has come, if it is more. */
export function rolloutAt(
  rule: { readonly rollout: number; readonly schedule: readonly RolloutStep[] },
  nowMs: number,
): number {
  let rollout = rule.rollout;
  for (const step of rule.schedule) {
    if (step.atMs <= nowMs && step.rollout > rollout) rollout = step.rollout;
  }
  return rollout;
}

/** What is offered to a device: the newest release that takes it. `rules` are newest first;
 *  `currentSequence` is what the device has, 0 for nothing. Null: nothing for it.
 *  A device is never sent back: one that has a newer release than the one it would get keeps what
 *  it has, which is what makes a pause no rollback. */
export function selectRelease<R extends ReleaseRule>(
  rules: readonly R[],
  device: Device,
  currentSequence: number,
  nowMs: number,
): R | null {
  for (const rule of rules) {
    if (rule.sequence < currentSequence) return null;
    if (rule.sequence === currentSequence || isTaken(rule, device, nowMs)) return rule;
  }
  return null;
}

function isTaken(rule: ReleaseRule, device: Device, nowMs: number): boolean {
  if (rule.state !== 'active') return false;
  if (rule.targeting !== null) {
    if (rule.targeting.devices?.includes(device.id) === true) return true;
    if (!isTargeted(rule.targeting, device)) return false;
  }
  const rollout = rolloutAt(rule, nowMs);
  if (rollout >= ROLLOUT_WHOLE) return true;
  return rollout > 0 && rolloutBucket(device.id, rule.salt) < rollout;
}

/** Whether all parts but the device list fit. A list of devices alone takes nobody else. */
function isTargeted(targeting: Targeting, device: Device): boolean {
  const { appVersion, platforms, regions, devices, attributes } = targeting;
  const names = Object.keys(attributes);
  const hasOther =
    appVersion !== null || platforms !== null || regions !== null || names.length > 0;
  if (devices !== null && !hasOther) return false;
  if (appVersion !== null && !isInRange(appVersion, device.appVersion)) return false;
  if (platforms !== null && !isAmong(platforms, device.platform)) return false;
  if (regions !== null && !isAmong(regions, device.region)) return false;
  return names.every((name) => isAmong(attributes[name]!, device.attributes[name] ?? null));
}

function isInRange(range: string, version: string | null): boolean {
  return version !== null && compileVersionRange(range)?.(version) === true;
}

function isAmong(allowed: readonly string[], value: string | null): boolean {
  return value !== null && allowed.includes(value);
}

/** Whether reports say that a release must stop. `failedCount` and `appliedCount` are devices that
 *  said so. */
export function mustHalt(
  rule: ReleaseRule,
  counts: { readonly failedCount: number; readonly appliedCount: number },
): boolean {
  if (rule.halt === null || rule.state !== 'active') return false;
  const all = counts.failedCount + counts.appliedCount;
  if (all < rule.halt.minimumCount || all === 0) return false;
  return counts.failedCount / all > rule.halt.failureShare;
}
