// What devices post: a check for updates, and reports of what became of them. Read strictly, with a
// bound on everything; a field that is not known is refused, so that a typing error is seen.

import {
  CHECK_CHANNELS_COUNT_MAX,
  DEVICE_ATTRIBUTES_COUNT_MAX,
  GatewayError,
  OUTCOMES_COUNT_MAX,
} from '../core/index.ts';
import { type ChannelView, FAILURE_CAUSES, OUTCOMES, type OutcomeReport } from './channel-view.ts';
import { CHANNEL_PATTERN, Fields, parseJson } from './fields.ts';
import type { Device } from './model.ts';
import { selectRelease } from './release-rules.ts';

const CODE = 'GW_DIST_BAD_REQUEST';
const ID_LENGTH_MAX = 256;
const TEXT_LENGTH_MAX = 256;
const CHANNEL_RULE = 'a channel';

export interface CheckRequest {
  readonly device: Device;
  /** By channel: the sequence that the device has. */
  readonly sequences: Readonly<Record<string, number>>;
}

/** Reads a check. Errors: GW_DIST_BAD_REQUEST. */
export function readCheck(body: Uint8Array): CheckRequest {
  const fields = new Fields(parseJson(body, 'the body', CODE), '', ['device', 'channels'], CODE);
  const device = readDevice(fields.get('device'));
  const sequences = fields.map('channels', CHECK_CHANNELS_COUNT_MAX, (value, place, channel) => {
    checkChannel(channel);
    const one = new Fields(value, place, ['sequence'], CODE);
    return one.integer('sequence', 0, Number.MAX_SAFE_INTEGER);
  });
  return { device, sequences };
}

function readDevice(value: unknown): Device {
  const names = ['id', 'appVersion', 'platform', 'region', 'attributes'];
  const fields = new Fields(value, 'device', names, CODE);
  const readText = (text: unknown, place: string): string => {
    if (typeof text === 'string' && text.length <= TEXT_LENGTH_MAX) return text;
    throw new GatewayError(CODE, `${place} is no string of at most ${TEXT_LENGTH_MAX} characters`);
  };
  const hasAttributes = fields.get('attributes') !== undefined;
  return {
    id: fields.string('id', 1, ID_LENGTH_MAX),
    appVersion: fields.nullableString('appVersion', TEXT_LENGTH_MAX),
    platform: fields.nullableString('platform', TEXT_LENGTH_MAX),
    region: fields.nullableString('region', TEXT_LENGTH_MAX),
    attributes: hasAttributes
      ? fields.map('attributes', DEVICE_ATTRIBUTES_COUNT_MAX, readText)
      : {},
  };
}

function checkChannel(channel: string): void {
  if (!CHANNEL_PATTERN.test(channel)) {
    throw new GatewayError(CODE, `channels: ${JSON.stringify(channel)} is not ${CHANNEL_RULE}`);
  }
}

/** The answer to a check, as JSON text: heads are text already and are not parsed again. `view`
 *  gives a channel that this route serves, or undefined. */
export function answerCheck(
  { device, sequences }: CheckRequest,
  view: (channel: string) => ChannelView | undefined,
  wallMs: number,
): string {
  const parts: string[] = [];
  for (const [channel, sequence] of Object.entries(sequences)) {
    const found = view(channel);
    parts.push(`${JSON.stringify(channel)}:${statusOf(found, device, sequence, wallMs)}`);
  }
  return `{"nowMs":${Math.floor(wallMs)},"channels":{${parts.join(',')}}}`;
}

function statusOf(
  view: ChannelView | undefined,
  device: Device,
  sequence: number,
  wallMs: number,
): string {
  const release =
    view === undefined ? null : selectRelease(view.releases, device, sequence, wallMs);
  const head = release === null ? undefined : view!.heads.get(release.sequence);
  // Without a head a device could not trust what it is told, so it is told nothing.
  if (release === null || head === undefined) return '{"status":"none"}';
  const status = release.sequence === sequence ? 'current' : 'update';
  return `{"status":"${status}","head":${head}}`;
}

/** Reads a report. Errors: GW_DIST_BAD_REQUEST. */
export function readOutcomes(body: Uint8Array): OutcomeReport[] {
  const names = ['deviceId', 'outcomes'];
  const fields = new Fields(parseJson(body, 'the body', CODE), '', names, CODE);
  const deviceId = fields.string('deviceId', 1, ID_LENGTH_MAX);
  return fields.list('outcomes', OUTCOMES_COUNT_MAX, (value, place) => {
    const one = new Fields(value, place, ['channel', 'sequence', 'outcome', 'cause'], CODE);
    const outcome = one.literal('outcome', OUTCOMES);
    const hasCause = one.get('cause') !== undefined && one.get('cause') !== null;
    if (hasCause !== (outcome === 'failed')) {
      throw one.bad('cause', outcome === 'failed' ? 'the cause of the failure' : 'no cause');
    }
    return {
      deviceId,
      channel: one.matching('channel', CHANNEL_PATTERN, CHANNEL_RULE),
      sequence: one.integer('sequence', 1, Number.MAX_SAFE_INTEGER),
      outcome,
      cause: hasCause ? one.literal('cause', FAILURE_CAUSES) : null,
    };
  });
}
