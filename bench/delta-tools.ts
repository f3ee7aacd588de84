// What makes deltas: our encoder at each effort, and the programs that it is compared with. All
// work on files, so that a program's reading and writing is in its time and ours is in our own.

import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { type Effort, effortFor } from '../host/distribution/index.ts';
import {
  compileCodec,
  type ZstdDecodeOptions,
  ZstdDecoder,
  ZstdEncoder,
} from '../host/kernels/index.ts';
import { type ProgramName, programPath } from './programs.ts';

/** Paths of one delta. */
export interface DeltaFiles {
  readonly older: string;
  readonly newer: string;
  readonly delta: string;
  /** Where the newer file is made again. */
  readonly decoded: string;
}

export interface DeltaTool {
  readonly name: string;
  /** What it runs; none for ours. */
  readonly programs: readonly ProgramName[];
  /** Both return the processor time they took. Units: ms. Errors: what a program says. */
  encode(files: DeltaFiles): number;
  decode(files: DeltaFiles): number;
  /** Decodes over and over what is in memory, as a device with many files or a gateway does; null
   *  where there is only a program to start. Units: bytes made per second of processor time. */
  readonly decodeWarm: ((files: DeltaFiles) => number) | null;
}

/** The tool that the bars are about. */
export const REFERENCE = 'zstd -19 --patch-from';
/** What the publisher does: the effort goes by the sizes. */
export const PUBLISHED = 'sluice publish';

/** Until V8 has compiled the kernel a second time, for speed. */
const WARM_UP_MS = 300;
const WARM_MS = 500;

export const DELTA_TOOLS: readonly DeltaTool[] = [
  programTool(REFERENCE, {
    programs: ['zstd'],
    encode: ({ older, newer, delta }) => [
      ...['-q', '-f', '-19', '--long=27', '--single-thread', `--patch-from=${older}`],
      ...[newer, '-o', delta],
    ],
    decode: ({ older, delta, decoded }) => [
      ...['-q', '-f', '-d', '--long=27', `--patch-from=${older}`, delta, '-o', decoded],
    ],
  }),
  ourTool(1),
  ourTool(2),
  ourTool(3),
  ourTool('published'),
  programTool('xdelta3 -9', {
    programs: ['xdelta3'],
    encode: ({ older, newer, delta }) => [
      ...['-q', '-e', '-f', '-9', '-S', 'djw', '-B', '67108864', '-s', older, newer, delta],
    ],
    decode: ({ older, delta, decoded }) => [
      ...['-q', '-d', '-f', '-B', '67108864', '-s', older, delta, decoded],
    ],
  }),
  programTool('bsdiff', {
    programs: ['bsdiff', 'bspatch'],
    encode: ({ older, newer, delta }) => [older, newer, delta],
    decode: ({ older, delta, decoded }) => [older, decoded, delta],
  }),
  programTool('brotli -11, no base', {
    programs: ['brotli'],
    encode: ({ newer, delta }) => ['-f', '-q', '11', '-w', '24', '-o', delta, newer],
    decode: ({ delta, decoded }) => ['-f', '-d', '-o', decoded, delta],
  }),
];

/** `programs`: one for both, or the encoder and the decoder. */
function programTool(
  name: string,
  tool: {
    readonly programs: readonly ProgramName[];
    readonly encode: (files: DeltaFiles) => readonly string[];
    readonly decode: (files: DeltaFiles) => readonly string[];
  },
): DeltaTool {
  const { programs } = tool;
  const decoder = programs.at(-1)!;
  return {
    name,
    programs,
    encode: (files) => runProgram(programPath(programs[0]!), tool.encode(files)),
    decode: (files) => runProgram(programPath(decoder), tool.decode(files)),
    decodeWarm: null,
  };
}

/** The shell's own `times` is the processor time of its children, user and system. Bash takes a
 *  socket as its input for a remote login and runs the user's start-up file, whose children would
 *  be counted: it is told not to, and has no input. */
function runProgram(path: string, words: readonly string[]): number {
  const script = '"$@" >/dev/null && times';
  const shell = spawnSync('bash', ['--norc', '-c', script, 'bash', path, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const found = /\n(\d+)m([\d.]+)s (\d+)m([\d.]+)s/.exec(shell.stdout.toString());
  if (found === null) throw new Error(`${path}: ${shell.stderr.toString().slice(0, 400)}`);
  const [userMinutes, user, systemMinutes, system] = found.slice(1).map(Number);
  return (userMinutes! + systemMinutes!) * 60_000 + (user! + system!) * 1_000;
}

/** Compiling the kernel is part of its time, as starting the process is of a program's. */
function ourTool(wished: Effort | 'published'): DeltaTool {
  return {
    name: wished === 'published' ? PUBLISHED : `sluice effort ${wished}`,
    programs: [],
    encode: ({ older, newer, delta }) =>
      ownCpuMs(() => {
        const encoder = new ZstdEncoder(compileCodec(codecBytes()));
        const dictionary = readFileSync(older);
        const content = readFileSync(newer);
        const sizeBytes = dictionary.length + content.length;
        const effort = wished === 'published' ? effortFor(sizeBytes, 3) : wished;
        writeFileSync(delta, encoder.encode(content, { dictionary, effort }));
      }),
    decode: (files) =>
      ownCpuMs(() => {
        const decoder = new ZstdDecoder(compileCodec(codecBytes()));
        const content = decoder.decode(readFileSync(files.delta), decodingOf(files));
        writeFileSync(files.decoded, content);
      }),
    decodeWarm: (files) => {
      const decoder = new ZstdDecoder(compileCodec(codecBytes()));
      const frame = readFileSync(files.delta);
      const decoding = decodingOf(files);
      const decodeOnce = () => decoder.decode(frame, decoding).length;
      for (let spentMs = 0; spentMs < WARM_UP_MS; ) spentMs += ownCpuMs(decodeOnce);
      let sizeBytes = 0;
      let spentMs = 0;
      while (spentMs < WARM_MS) {
        spentMs += ownCpuMs(() => {
          sizeBytes += decodeOnce();
        });
      }
      return sizeBytes / (spentMs / 1_000);
    },
  };
}

/** As a device knows them: the size stands in the manifest. */
function decodingOf({ older, newer }: DeltaFiles): ZstdDecodeOptions {
  const { size: sizeBytesMax } = statSync(newer);
  return { dictionary: readFileSync(older), sizeBytesMax, checksum: 'required' };
}

function ownCpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

function codecBytes(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL('../build/codec.wasm', import.meta.url)));
}
