// What the SDK writes its log to. It wants a `process` with WASI's standard output behind it, which
// is one more package; here the same lines go to proxy_log, which every host has, with their level.

import { proxy_log } from '@gcoredev/proxy-wasm-sdk-as/assembly/imports';

const LEVEL_INFO: i32 = 2;
const LEVEL_CRITICAL: i32 = 5;

/** The SDK marks a line's level as in `[WARN]: text`; the host's levels, by the mark's letter. */
function levelOf(letter: i32): i32 {
  if (letter == 0x54) return 0;
  if (letter == 0x44) return 1;
  if (letter == 0x57) return 3;
  if (letter == 0x45) return 4;
  return letter == 0x43 ? LEVEL_CRITICAL : LEVEL_INFO;
}

function writeLine(line: string): void {
  const text = line.trimEnd();
  const end = text.startsWith('[') ? text.indexOf(']: ') : -1;
  if (end < 0) writeLog(LEVEL_INFO, text);
  else writeLog(levelOf(text.charCodeAt(1)), text.slice(end + 3));
}

/** Sends one line to the host's log. */
export function writeLog(level: i32, text: string): void {
  const bytes = String.UTF8.encode(text);
  proxy_log(level, changetype<usize>(bytes), bytes.byteLength);
}

/** In the place of `process`, by a `use` of asconfig.json. */
export namespace plugin_process {
  export namespace stdout {
    export function write(line: string): void {
      writeLine(line);
    }
  }
}
