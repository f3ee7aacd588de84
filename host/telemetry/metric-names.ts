// Every metric there is: its name, type, labels and one line of help. docs/telemetry.md says the
// same to people, and a test holds the two together.

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary';

export interface MetricEntry {
  readonly type: MetricType;
  readonly labels: readonly string[];
  readonly help: string;
}

function entry(type: MetricType, labels: readonly string[], help: string): MetricEntry {
  return { type, labels, help };
}

export const METRICS = {
  sluice_requests_total: entry(
    'counter',
    ['route', 'service', 'code_class'],
    'Requests by route and class of status.',
  ),
  sluice_request_duration_seconds: entry(
    'histogram',
    ['route'],
    'Time from the first byte of a request to the last of its response.',
  ),
  sluice_request_bytes_total: entry('counter', ['route'], 'Bytes of request bodies.'),
  sluice_response_bytes_total: entry('counter', ['route'], 'Bytes of response bodies.'),
  sluice_requests_active: entry('gauge', ['route'], 'Requests in flight.'),
  sluice_route_refused_total: entry(
    'counter',
    ['route', 'family'],
    'Refusals of a route by family of reason.',
  ),
  sluice_refused_total: entry('counter', ['reason', 'code'], 'Refusals by reason.'),
  sluice_service_requests_total: entry('counter', ['service'], 'Requests sent to a service.'),
  sluice_service_errors_total: entry('counter', ['service'], 'Requests a service failed.'),
  sluice_service_requests_active: entry('gauge', ['service'], 'Requests in flight to a service.'),
  sluice_service_request_duration_seconds: entry(
    'summary',
    ['service'],
    'Duration of the requests sent to a service, as a sum and a count.',
  ),
  sluice_endpoint_requests_total: entry(
    'counter',
    ['service', 'endpoint'],
    'Requests sent to an endpoint.',
  ),
  sluice_endpoint_errors_total: entry(
    'counter',
    ['service', 'endpoint'],
    'Requests an endpoint failed.',
  ),
  sluice_endpoint_connect_failures_total: entry(
    'counter',
    ['service', 'endpoint'],
    'Connections to an endpoint that could not be made.',
  ),
  sluice_endpoint_requests_active: entry(
    'gauge',
    ['service', 'endpoint'],
    'Requests in flight to an endpoint.',
  ),
  sluice_endpoint_request_duration_seconds: entry(
    'summary',
    ['service', 'endpoint'],
    'Duration of the requests sent to an endpoint, as a sum and a count.',
  ),
  sluice_connections_open: entry('gauge', ['worker'], 'Client connections open.'),
  sluice_connections_total: entry('counter', ['worker'], 'Client connections accepted.'),
  sluice_uncaught_errors_total: entry('counter', ['worker'], 'Errors that no handler caught.'),
  sluice_event_loop_delay_seconds: entry(
    'gauge',
    ['worker', 'stat'],
    'Delay of the event loop over the last second.',
  ),
  sluice_worker_heartbeats_total: entry('counter', ['worker'], 'Turns a worker has reported.'),
  sluice_limiter_overflows_total: entry(
    'counter',
    ['worker'],
    'Rate-limit keys that shared the overflow bucket.',
  ),
  sluice_log_lines_total: entry('counter', ['worker'], 'Access log lines written.'),
  sluice_log_lines_dropped_total: entry(
    'counter',
    ['worker'],
    'Access log lines dropped because the log was slower than the traffic.',
  ),
  sluice_distribution_outcomes_total: entry(
    'counter',
    ['channel', 'version', 'outcome'],
    'Devices by what became of a release.',
  ),
  sluice_distribution_failures_total: entry(
    'counter',
    ['channel', 'version', 'cause'],
    'Devices that failed to take a release, by cause.',
  ),
  sluice_distribution_release_active: entry(
    'gauge',
    ['channel', 'version', 'state'],
    'Whether a release is offered: 1 for active, 0 for paused and halted.',
  ),
  sluice_distribution_reports_repeated_total: entry(
    'counter',
    [],
    'Outcomes that a device had reported before.',
  ),
  sluice_distribution_reports_dropped_total: entry(
    'counter',
    [],
    'Outcomes not counted because there were too many at once.',
  ),
  sluice_distribution_responses_total: entry(
    'counter',
    ['resource', 'form'],
    'Files, packs and manifests sent, whole or in part, by the form they were sent in.',
  ),
  sluice_distribution_artefacts_total: entry(
    'counter',
    ['outcome'],
    'Deltas and variants made on demand, by outcome.',
  ),
  sluice_distribution_artefacts_waiting: entry(
    'gauge',
    [],
    'Deltas and variants that wait to be made.',
  ),
  sluice_db_requests_total: entry(
    'counter',
    ['worker'],
    'Requests over HTTP and WebSocket connections that a db worker took.',
  ),
  sluice_db_commits_total: entry('counter', ['worker'], 'Commits to databases.'),
  sluice_db_groups_total: entry('counter', ['worker'], 'Groups of commits that were synced.'),
  sluice_db_refusals_total: entry(
    'counter',
    ['worker'],
    'Statements that could not wait for the writer, or waited in vain.',
  ),
  sluice_db_open: entry('gauge', ['worker'], 'Databases that are open.'),
  sluice_db_streams: entry('gauge', ['worker'], 'Streams that are open.'),
  sluice_db_sockets: entry('gauge', ['worker'], 'WebSocket connections to databases.'),
  sluice_db_writers_waiting: entry('gauge', ['worker'], 'Statements that wait for the writer.'),
  sluice_db_replies_waiting: entry(
    'gauge',
    ['worker'],
    'Replies that wait until what they show is durable.',
  ),
  sluice_db_lag_commits: entry('gauge', ['worker'], 'Commits that are not durable yet.'),
  sluice_db_follower_lag_commits: entry(
    'gauge',
    ['worker'],
    'Commits of the primary that the copy furthest behind does not have; 0 without a primary.',
  ),
  sluice_db_follower_lag_seconds: entry(
    'gauge',
    ['worker'],
    'How old what the copy furthest behind shows may be; +Inf before all have caught up.',
  ),
  sluice_plugin_instances: entry('gauge', ['plugin'], 'Instances of a plugin that live.'),
  sluice_plugin_instances_started_total: entry(
    'counter',
    ['plugin'],
    'Instances of a plugin that were started.',
  ),
  sluice_plugin_evictions_total: entry(
    'counter',
    ['plugin'],
    'Instances of tenants that were given up for those of others.',
  ),
  sluice_plugin_requests_total: entry('counter', ['plugin'], 'Requests that met a plugin.'),
  sluice_plugin_requests_active: entry('gauge', ['plugin'], 'Requests in flight in a plugin.'),
  sluice_plugin_requests_failed_total: entry(
    'counter',
    ['plugin', 'code'],
    'Requests that a plugin failed, by the code of the error.',
  ),
  sluice_plugin_requests_skipped_total: entry(
    'counter',
    ['plugin'],
    'Requests that went on without a plugin that failed.',
  ),
  sluice_plugin_traps_total: entry(
    'counter',
    ['plugin', 'cause'],
    'Instances that died: of a trap, or for want of steps.',
  ),
  sluice_plugin_steps_total: entry('counter', ['plugin'], 'Steps that a plugin has used.'),
  sluice_plugin_log_lines_dropped_total: entry(
    'counter',
    ['plugin'],
    'Log lines of a plugin dropped because there were too many.',
  ),
  sluice_plugin_canary_share: entry(
    'gauge',
    ['plugin'],
    'Share of the requests that a canary gets, from 0 to 1.',
  ),
  sluice_plugin_canaries_total: entry('counter', ['outcome'], 'Canaries that ended, by outcome.'),
  sluice_plugin_pushes_total: entry('counter', ['outcome'], 'Pushes of modules, by outcome.'),
  sluice_plugin_rollbacks_total: entry('counter', [], 'Rollbacks of plugins that were asked for.'),
  sluice_plugin_switch_duration_seconds: entry(
    'summary',
    [],
    'Time until every io worker had taken a change of a plugin, as a sum and a count.',
  ),
  sluice_plugin_shared_entries: entry('gauge', [], 'Entries of shared data.'),
  sluice_plugin_shared_messages: entry('gauge', [], 'Messages that wait in shared queues.'),
  sluice_plugin_shared_bytes: entry('gauge', [], 'Bytes of shared data and queues, of 16 MiB.'),
  sluice_plugin_shared_refused_total: entry(
    'counter',
    [],
    'Writes of shared data and messages that found no room.',
  ),
  sluice_plugin_shared_lock_waits_total: entry(
    'counter',
    [],
    'Times that a thread slept for the lock of shared data.',
  ),
  sluice_plugin_shared_lock_timeouts_total: entry(
    'counter',
    [],
    'Times that a thread did not get the lock of shared data in time.',
  ),
  sluice_plugin_shared_repairs_total: entry(
    'counter',
    [],
    'Times that a thread died with the lock of shared data.',
  ),
  sluice_plugin_counter_total: entry(
    'counter',
    ['plugin', 'name'],
    'A counter that a plugin defined.',
  ),
  sluice_plugin_gauge: entry('gauge', ['plugin', 'name'], 'A gauge that a plugin defined.'),
  sluice_plugin_histogram: entry(
    'histogram',
    ['plugin', 'name'],
    'A histogram that a plugin defined, in its own unit.',
  ),
  sluice_config_generation: entry('gauge', [], 'Number of the configuration in use.'),
  sluice_config_reloads_total: entry('counter', ['outcome'], 'Reloads by outcome.'),
  sluice_config_last_reload_success: entry('gauge', [], 'Whether the last reload was taken.'),
  sluice_config_last_reload_timestamp_seconds: entry('gauge', [], 'When the last reload ended.'),
  sluice_build_info: entry('gauge', ['version', 'node'], 'Always 1; the versions are labels.'),
  sluice_uptime_seconds: entry('gauge', [], 'Time since the process started.'),
  process_cpu_seconds_total: entry('counter', [], 'CPU time of the process, all threads.'),
  process_resident_memory_bytes: entry('gauge', [], 'Resident memory of the process.'),
  process_start_time_seconds: entry('gauge', [], 'When the process started.'),
} as const satisfies Record<string, MetricEntry>;

export type MetricName = keyof typeof METRICS;
