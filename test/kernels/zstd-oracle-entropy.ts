// The entropy coding of zstd the slow way: bit by bit, codes in a Map, as RFC 8878 section 4 says.

/** What the oracle throws for a frame that it refuses. */
export class ZstdRefusal extends Error {}

export function refuseIf(condition: boolean, why: string): void {
  if (condition) throw new ZstdRefusal(why);
}

/** Bits from the first byte's lowest upwards. */
export class ForwardBits {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get usedBytes(): number {
    return Math.ceil(this.#at / 8);
  }

  read(count: number): number {
    let value = 0;
    for (let index = 0; index < count; ++index, ++this.#at) {
      refuseIf(this.#at >> 3 >= this.#bytes.length, 'a distribution ends early');
      value += ((this.#bytes[this.#at >> 3]! >> (this.#at & 7)) & 1) * 2 ** index;
    }
    return value;
  }
}

/** Bits from the last byte's highest downwards, after the 1 that ends the stream (4.1). */
export class BackwardBits {
  readonly #bytes: Uint8Array;
  left: number;

  constructor(bytes: Uint8Array) {
    const last = bytes.at(-1) ?? 0;
    refuseIf(last === 0, 'a stream has no end');
    this.#bytes = bytes;
    this.left = bytes.length * 8 - 8 + Math.floor(Math.log2(last));
  }

  read(count: number): number {
    refuseIf(count > this.left, 'a stream ends early');
    let value = 0;
    for (let index = 0; index < count; ++index) {
      this.left -= 1;
      value = value * 2 + ((this.#bytes[this.left >> 3]! >> (this.left & 7)) & 1);
    }
    return value;
  }
}

/** A state of a finite state machine: what it stands for, and where it leads. */
export interface FseState {
  readonly symbol: number;
  readonly bits: number;
  readonly base: number;
}

export interface FseTable {
  readonly log: number;
  readonly states: readonly FseState[];
}

/** Shares of each symbol; -1 is less than one (4.1.1). */
export function readShares(
  bytes: Uint8Array,
  symbolMax: number,
  logMax: number,
): { readonly shares: number[]; readonly log: number; readonly sizeBytes: number } {
  const reader = new ForwardBits(bytes);
  const log = reader.read(4) + 5;
  refuseIf(log > logMax, 'a distribution is too fine');
  const shares: number[] = [];
  let left = 2 ** log;
  while (left > 0) {
    const valueMax = left + 1;
    const bits = Math.floor(Math.log2(valueMax)) + 1;
    const shortCount = 2 ** bits - 1 - valueMax;
    let value = reader.read(bits - 1);
    if (value >= shortCount && reader.read(1) === 1) value += 2 ** (bits - 1) - shortCount;
    const share = value - 1;
    shares.push(share);
    left -= Math.abs(share);
    if (share === 0) {
      let zeros = 0;
      do {
        zeros = reader.read(2);
        shares.push(...new Array<number>(zeros).fill(0));
      } while (zeros === 3);
    }
    refuseIf(shares.length > symbolMax + 1, 'a distribution has too many symbols');
  }
  return { shares, log, sizeBytes: reader.usedBytes };
}

/** Spreads the symbols over the states and numbers each symbol's (4.1.1, "from normalized..."). */
export function fseTable(shares: readonly number[], log: number): FseTable {
  const size = 2 ** log;
  const symbols = new Array<number>(size).fill(-1);
  let high = size - 1;
  shares.forEach((share, symbol) => {
    if (share === -1) symbols[high--] = symbol;
  });
  let place = 0;
  shares.forEach((share, symbol) => {
    for (let taken = 0; taken < share; ++taken) {
      symbols[place] = symbol;
      do place = (place + (size >> 1) + (size >> 3) + 3) % size;
      while (place > high);
    }
  });
  const next = shares.map((share) => Math.abs(share));
  const states = symbols.map((symbol) => {
    const number = next[symbol]!++;
    const bits = log - Math.floor(Math.log2(number));
    return { symbol, bits, base: number * 2 ** bits - size };
  });
  return { log, states };
}

/** The symbol that each code stands for; a key is a 1 followed by the code's bits. */
export interface HuffmanCode {
  readonly bitsMax: number;
  readonly symbols: ReadonlyMap<number, number>;
}

/** A tree's description (4.2.1): weights directly or FSE-coded, the last one implied. */
export function readHuffman(bytes: Uint8Array): {
  readonly code: HuffmanCode;
  readonly sizeBytes: number;
} {
  refuseIf(bytes.length === 0, 'a tree ends early');
  const header = bytes[0]!;
  if (header < 128) {
    refuseIf(bytes.length < 1 + header, 'a tree ends early');
    const weights = codedWeights(bytes.subarray(1, 1 + header));
    return { code: huffmanCode(weights), sizeBytes: 1 + header };
  }
  const count = header - 127;
  const sizeBytes = 1 + Math.ceil(count / 2);
  refuseIf(bytes.length < sizeBytes, 'a tree ends early');
  const weights = Array.from({ length: count }, (_, index) => {
    const byte = bytes[1 + (index >> 1)]!;
    return index % 2 === 0 ? byte >> 4 : byte & 15;
  });
  return { code: huffmanCode(weights), sizeBytes };
}

function codedWeights(bytes: Uint8Array): number[] {
  const { shares, log, sizeBytes } = readShares(bytes, 11, 6);
  const { states } = fseTable(shares, log);
  const bits = new BackwardBits(bytes.subarray(sizeBytes));
  const turns = [states[bits.read(log)]!, states[bits.read(log)]!];
  const weights: number[] = [];
  for (let turn = 0; ; turn = 1 - turn) {
    weights.push(turns[turn]!.symbol);
    if (turns[turn]!.bits > bits.left) {
      weights.push(turns[1 - turn]!.symbol);
      refuseIf(weights.length > 255, 'a tree has too many weights');
      return weights;
    }
    refuseIf(weights.length > 255, 'a tree has too many weights');
    turns[turn] = states[turns[turn]!.base + bits.read(turns[turn]!.bits)]!;
  }
}

function huffmanCode(given: readonly number[]): HuffmanCode {
  refuseIf(Math.max(...given) > 11, 'a weight is above 11');
  const total = given.reduce((sum, weight) => sum + (weight === 0 ? 0 : 2 ** (weight - 1)), 0);
  refuseIf(total === 0, 'a tree has no weight');
  const bitsMax = Math.floor(Math.log2(total)) + 1;
  refuseIf(bitsMax > 11, 'a code is longer than 11 bits');
  const last = Math.log2(2 ** bitsMax - total) + 1;
  refuseIf(!Number.isInteger(last), 'a code is not complete');
  const weights = [...given, last];
  refuseIf(weights.filter((weight) => weight === 1).length < 2, 'a code has no longest pair');
  const symbols = new Map<number, number>();
  let place = 0;
  for (let weight = 1; weight <= bitsMax; ++weight) {
    const length = bitsMax + 1 - weight;
    weights.forEach((found, symbol) => {
      if (found !== weight) return;
      symbols.set(2 ** length + place / 2 ** (weight - 1), symbol);
      place += 2 ** (weight - 1);
    });
  }
  return { bitsMax, symbols };
}

/** Decodes `count` literals of a stream, which must end with the last. */
export function huffmanStream(code: HuffmanCode, bytes: Uint8Array, count: number): number[] {
  const bits = new BackwardBits(bytes);
  const literals: number[] = [];
  while (literals.length < count) {
    let key = 1;
    let symbol: number | undefined;
    while (symbol === undefined) {
      key = key * 2 + bits.read(1);
      symbol = code.symbols.get(key);
    }
    literals.push(symbol);
  }
  refuseIf(bits.left !== 0, 'a stream goes on after its last literal');
  return literals;
}
