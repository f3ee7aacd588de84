// The metrics of the distribution plane: how far a release has come, and what stopped it.

import type { MetricName } from './metric-names.ts';
import { escapeLabel, head } from './prometheus-text.ts';

/** A release as devices reported it. */
export interface ReleaseMetrics {
  readonly channel: string;
  readonly version: string;
  readonly state: string;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
}

export interface DistributionMetrics {
  readonly releases: readonly ReleaseMetrics[];
  readonly reportsRepeated: number;
  readonly reportsDropped: number;
  readonly responses: readonly ResponseMetrics[];
  /** By outcome. */
  readonly artefacts: Readonly<Record<string, number>>;
  readonly artefactsWaiting: number;
}

export interface ResponseMetrics {
  readonly resource: string;
  readonly form: string;
  readonly count: number;
}

/** The samples; without the plane, the heads alone. */
export function* distributionLines(metrics: DistributionMetrics | null): Generator<string> {
  const releases = metrics?.releases ?? [];
  yield* family('sluice_distribution_outcomes_total', 'outcome', releases, (one) => one.outcomes);
  yield* family('sluice_distribution_failures_total', 'cause', releases, (one) => one.failures);
  yield head('sluice_distribution_release_active');
  for (const release of releases) {
    const labels = `${labelsOf(release)},state="${escapeLabel(release.state)}"`;
    const value = release.state === 'active' ? 1 : 0;
    yield `sluice_distribution_release_active{${labels}} ${value}\n`;
  }
  yield* single('sluice_distribution_reports_repeated_total', metrics?.reportsRepeated);
  yield* single('sluice_distribution_reports_dropped_total', metrics?.reportsDropped);
  yield head('sluice_distribution_responses_total');
  for (const { resource, form, count } of metrics?.responses ?? []) {
    const labels = `resource="${escapeLabel(resource)}",form="${escapeLabel(form)}"`;
    yield `sluice_distribution_responses_total{${labels}} ${count}\n`;
  }
  yield head('sluice_distribution_artefacts_total');
  for (const [outcome, count] of Object.entries(metrics?.artefacts ?? {})) {
    yield `sluice_distribution_artefacts_total{outcome="${escapeLabel(outcome)}"} ${count}\n`;
  }
  yield* single('sluice_distribution_artefacts_waiting', metrics?.artefactsWaiting);
}

function* family(
  name: MetricName,
  label: string,
  releases: readonly ReleaseMetrics[],
  countsOf: (release: ReleaseMetrics) => Readonly<Record<string, number>>,
): Generator<string> {
  yield head(name);
  for (const release of releases) {
    for (const [value, count] of Object.entries(countsOf(release))) {
      yield `${name}{${labelsOf(release)},${label}="${escapeLabel(value)}"} ${count}\n`;
    }
  }
}

function* single(name: MetricName, value: number | undefined): Generator<string> {
  yield head(name);
  if (value !== undefined) yield `${name} ${value}\n`;
}

function labelsOf({ channel, version }: ReleaseMetrics): string {
  return `channel="${escapeLabel(channel)}",version="${escapeLabel(version)}"`;
}
