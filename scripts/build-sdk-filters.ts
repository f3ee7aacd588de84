// Compiles the filters of test/proxywasm/sdk with the compilers that their SDKs are used with, in a
// Debian 13 of its own under build/, and writes down what came of what. What it makes is committed:
// the compilers take a gigabyte, which no run of the tests should have to fetch.
//
// Needs root and the package debootstrap. Cost: some minutes the first time, one after that.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const SOURCES = 'test/proxywasm/sdk';
const DEBIAN = 'build/debian-13';
const PACKAGES = [
  ...['rustc', 'libstd-rust-dev-wasm32', 'lld-19', 'golang-1.24-go', 'emscripten', 'clang-19'],
  ...['wasi-libc', 'libc++-19-dev-wasm32', 'libc++abi-19-dev-wasm32'],
  ...['libclang-rt-19-dev-wasm32'],
];

const RUST =
  'rustc --edition 2021 --crate-type cdylib -C linker=/usr/bin/wasm-ld-19 -C panic=abort';
const RUST_RELEASE = `${RUST} -C lto -C codegen-units=1 -C strip=debuginfo`;
const CPP = '-std=c++17 -Os -flto -fno-exceptions -fno-rtti';
const WASI_CPP = `clang++-19 --target=wasm32-wasi ${CPP} -Wl,--strip-debug -Wl,--export=malloc`;
/** Its folder is said because it would look for itself in /proc, which is not there. */
const GO =
  'GOROOT=/usr/lib/go-1.24 GOCACHE=/tmp/go-cache GOTOOLCHAIN=local /usr/lib/go-1.24/bin/go';
const GO_BUILD = `GOOS=wasip1 GOARCH=wasm ${GO} build -trimpath -buildmode=c-shared`;

interface Recipe {
  readonly name: string;
  /** What the filter calls itself. */
  readonly language: string;
  /** What the host is to take it for. */
  readonly sdk: string;
  /** Whether it speaks WASI, for what a filter can have from nowhere else. */
  readonly wasi: boolean;
  readonly sources: readonly string[];
  /** Prints the compiler's version. */
  readonly version: string;
  /** Compiles the sources in this folder into `out.wasm`. */
  readonly command: string;
}

const RECIPES: readonly Recipe[] = [
  {
    name: 'rust',
    language: 'rust',
    sdk: 'rust',
    wasi: true,
    sources: ['filter.rs'],
    version: 'rustc --version',
    command: `${RUST_RELEASE} --target wasm32-wasip1 -C opt-level=s -o out.wasm filter.rs`,
  },
  {
    name: 'rust-simd',
    language: 'rust',
    sdk: 'rust',
    wasi: false,
    sources: ['filter.rs'],
    version: 'rustc --version',
    command:
      `${RUST_RELEASE} --target wasm32-unknown-unknown -C opt-level=3 -C target-feature=` +
      '+simd128,+bulk-memory,+nontrapping-fptoint,+sign-ext,+multivalue,+reference-types ' +
      '-o out.wasm filter.rs',
  },
  {
    name: 'cpp',
    language: 'cpp',
    sdk: 'c++',
    wasi: true,
    sources: ['filter.cc'],
    version: 'em++ --version',
    command:
      `em++ ${CPP} --no-entry -sSTANDALONE_WASM -sEXPORTED_FUNCTIONS=_malloc ` +
      '-sALLOW_MEMORY_GROWTH=1 -sERROR_ON_UNDEFINED_SYMBOLS=0 -o out.wasm filter.cc',
  },
  {
    name: 'cpp-wasi',
    language: 'cpp',
    sdk: 'c++',
    wasi: true,
    sources: ['filter.cc'],
    version: 'clang++-19 --version',
    command: `${WASI_CPP} -mexec-model=reactor -o out.wasm filter.cc`,
  },
  {
    name: 'cpp-command',
    language: 'cpp',
    sdk: 'c++',
    wasi: true,
    sources: ['filter.cc'],
    version: 'clang++-19 --version',
    command:
      `${WASI_CPP} -DCOMMAND -Wl,--export=free -Wl,--export=calloc -Wl,--export=realloc ` +
      '-o out.wasm filter.cc',
  },
  {
    name: 'go',
    language: 'go',
    sdk: 'go',
    wasi: true,
    sources: ['go/filter.go', 'go/host.go', 'go/go.mod'],
    version: `${GO} version`,
    command: `cd go && ${GO_BUILD} -ldflags='-s -w' -o ../out.wasm .`,
  },
];

function run(program: string, words: readonly string[]): string {
  const { status, stdout } = spawnSync(program, words, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status === 0) return stdout;
  console.error(`${program} ${words.join(' ')}: exit code ${status}`);
  process.exit(1);
}

function inDebian(command: string): string {
  return run('chroot', [DEBIAN, 'sh', '-c', `cd /filters && ${command}`]);
}

function prepareDebian(): void {
  if (!existsSync(DEBIAN)) run('debootstrap', ['--variant=minbase', 'trixie', DEBIAN]);
  rmSync(join(DEBIAN, 'filters'), { recursive: true, force: true });
  mkdirSync(join(DEBIAN, 'filters'));
  const install = `apt-get install -y --no-install-recommends ${PACKAGES.join(' ')}`;
  inDebian(`export DEBIAN_FRONTEND=noninteractive; apt-get update && ${install}`);
  cpSync(SOURCES, join(DEBIAN, 'filters'), { recursive: true });
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function build({ version, ...recipe }: Recipe): object {
  console.log(recipe.name);
  rmSync(join(DEBIAN, 'filters/out.wasm'), { force: true });
  inDebian(recipe.command);
  const bytes = readFileSync(join(DEBIAN, 'filters/out.wasm'));
  const packed = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS },
  });
  writeFileSync(join(SOURCES, `${recipe.name}.wasm.br`), packed);
  const sources = Object.fromEntries(
    recipe.sources.map((name) => [name, sha256(readFileSync(join(SOURCES, name)))]),
  );
  const compiler = inDebian(version).split('\n', 1)[0]!.trim();
  return { ...recipe, compiler, sources, sha256: sha256(bytes) };
}

prepareDebian();
const filters = RECIPES.map(build);
writeFileSync(join(SOURCES, 'filters.json'), `${JSON.stringify({ filters }, null, 2)}\n`);
