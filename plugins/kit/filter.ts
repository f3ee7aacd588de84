// What every filter here begins from: a stream whose quiet moments cost nothing (the SDK's base
// class writes debug lines), and a root that reads its configuration as checked JSON.

import {
  BufferTypeValues,
  Context,
  get_buffer_bytes,
  RootContext,
} from '@gcoredev/proxy-wasm-sdk-as/assembly';
import { Json, parseJson } from './json';
import { writeLog } from './process';
import { Settings } from './settings';

export const LOG_DEBUG: i32 = 1;
export const LOG_INFO: i32 = 2;
export const LOG_WARN: i32 = 3;
export const LOG_ERROR: i32 = 4;

export class Filter extends Context {
  onDone(): bool {
    return true;
  }
  onLog(): void {}
  onDelete(): void {}
}

export abstract class FilterRoot extends RootContext {
  onStart(size: usize): bool {
    return true;
  }

  onDone(): bool {
    return true;
  }

  /** Reads the settings; what is wrong goes into `settings.problems`. */
  abstract configure(settings: Settings): void;

  /** False, and a line in the log for each problem, when the configuration is not good. */
  onConfigure(size: u32): bool {
    const bytes = get_buffer_bytes(BufferTypeValues.PluginConfiguration, 0, size);
    const problems: string[] = [];
    let json: Json = Json.emptyMap();
    if (size != 0) {
      const parsed = parseJson(String.UTF8.decode(bytes));
      if (parsed.json === null) problems.push('config: not JSON: ' + parsed.problem);
      else json = parsed.json!;
    }
    if (problems.length == 0) {
      const settings = new Settings(json, 'config', problems);
      this.configure(settings);
      settings.finish();
    }
    for (let index = 0; index < problems.length; index++) writeLog(LOG_ERROR, problems[index]);
    return problems.length == 0;
  }
}
