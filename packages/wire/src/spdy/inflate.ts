import { StatusError } from "@cortado/std/status";

const WINDOW_BYTES = 32 * 1024;
const lengthBases = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
];
const lengthExtras = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const distanceBases = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
];
const distanceExtras = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
const codeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/**
 * DEFLATE (RFC 1951) for a stream that is flushed at the end of each piece, as SPDY's header blocks are. Written here because Node's zlib
 * works either on whole streams or off the event loop, and frames must be read in order; it also keeps `wire` free of the runtime.
 */
export class FlushedInflater {
  readonly #outputBytesMax: number;
  #window: Uint8Array;

  /** @param options.dictionary what counts as sent before; `outputBytesMax` bounds what one piece may grow to */
  constructor(options: { readonly dictionary: Uint8Array; readonly outputBytesMax: number }) {
    this.#window = options.dictionary;
    this.#outputBytesMax = options.outputBytesMax;
  }

  /** Inflates one flushed piece. @throws StatusError "BadRequest" when it is not DEFLATE or grows too large */
  push(bytes: Uint8Array): Uint8Array {
    const output = new Output(this.#window, this.#outputBytesMax);
    const bits = new BitReader(bytes);
    while (!bits.atEnd) {
      const last = bits.take(1) === 1;
      readBlock(bits, output);
      if (last) break;
    }
    this.#window = output.window();
    return output.fresh();
  }
}

function readBlock(bits: BitReader, output: Output): void {
  const type = bits.take(2);
  if (type === 0) readStored(bits, output);
  else if (type === 1) readCodes({ bits, output, codes: fixedCodes() });
  else if (type === 2) readCodes({ bits, output, codes: readDynamicCodes(bits) });
  else throw malformed("a block of an unknown type");
}

function readStored(bits: BitReader, output: Output): void {
  bits.align();
  const length = bits.take(16);
  if ((bits.take(16) ^ 0xffff) !== length)
    throw malformed("a stored block whose length does not match its complement");
  for (let index = 0; index < length; index += 1) output.put(bits.take(8));
}

type Codes = { readonly literals: Huffman; readonly distances: Huffman };

function readCodes({
  bits,
  output,
  codes,
}: {
  readonly bits: BitReader;
  readonly output: Output;
  readonly codes: Codes;
}): void {
  for (;;) {
    const symbol = codes.literals.read(bits);
    if (symbol < 256) {
      output.put(symbol);
      continue;
    }
    if (symbol === 256) return;
    const length =
      (lengthBases[symbol - 257] ?? fail("a length")) + bits.take(lengthExtras[symbol - 257] ?? 0);
    const code = codes.distances.read(bits);
    const distance = (distanceBases[code] ?? fail("a distance")) + bits.take(distanceExtras[code] ?? 0);
    output.copy({ distance, length });
  }
}

let fixed: Codes | undefined;

function fixedCodes(): Codes {
  fixed ??= {
    literals: new Huffman(
      Array.from({ length: 288 }, (_none, at) => (at < 144 ? 8 : at < 256 ? 9 : at < 280 ? 7 : 8)),
    ),
    distances: new Huffman(Array.from({ length: 30 }, () => 5)),
  };
  return fixed;
}

function readDynamicCodes(bits: BitReader): Codes {
  const literalCount = bits.take(5) + 257;
  const distanceCount = bits.take(5) + 1;
  const orderCount = bits.take(4) + 4;
  const orderLengths = new Array<number>(19).fill(0);
  for (const at of codeLengthOrder.slice(0, orderCount)) orderLengths[at] = bits.take(3);
  const order = new Huffman(orderLengths);
  const lengths: number[] = [];
  while (lengths.length < literalCount + distanceCount) {
    const symbol = order.read(bits);
    if (symbol < 16) lengths.push(symbol);
    else if (symbol === 16)
      repeat({ lengths, value: lengths.at(-1) ?? fail("a repeat"), times: 3 + bits.take(2) });
    else repeat({ lengths, value: 0, times: symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7) });
  }
  return {
    literals: new Huffman(lengths.slice(0, literalCount)),
    distances: new Huffman(lengths.slice(literalCount)),
  };
}

function repeat({
  lengths,
  value,
  times,
}: {
  readonly lengths: number[];
  readonly value: number;
  readonly times: number;
}): void {
  for (let index = 0; index < times; index += 1) lengths.push(value);
}

/** Canonical Huffman codes, read one bit at a time: header blocks are small. */
class Huffman {
  readonly #counts: number[] = new Array<number>(16).fill(0);
  readonly #symbols: number[];

  constructor(lengths: readonly number[]) {
    for (const length of lengths) if (length > 0) this.#counts[length] = (this.#counts[length] ?? 0) + 1;
    const offsets = new Array<number>(17).fill(0);
    for (let length = 1; length <= 15; length += 1)
      offsets[length + 1] = (offsets[length] ?? 0) + (this.#counts[length] ?? 0);
    this.#symbols = new Array<number>(lengths.length).fill(0);
    for (const [symbol, length] of lengths.entries()) {
      if (length === 0) continue;
      const at = offsets[length] ?? 0;
      this.#symbols[at] = symbol;
      offsets[length] = at + 1;
    }
  }

  read(bits: BitReader): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= 15; length += 1) {
      code |= bits.take(1);
      const count = this.#counts[length] ?? 0;
      if (code - count < first) return this.#symbols[index + (code - first)] ?? fail("a code");
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw malformed("a code that no symbol has");
  }
}

class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #held = 0;
  #heldBits = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.byteLength;
  }

  /** Up to 16 bits, the first is the lowest. */
  take(count: number): number {
    while (this.#heldBits < count) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw malformed("an end in the middle of a block");
      this.#at += 1;
      this.#held |= byte << this.#heldBits;
      this.#heldBits += 8;
    }
    const value = this.#held & ((1 << count) - 1);
    this.#held >>>= count;
    this.#heldBits -= count;
    return value;
  }

  align(): void {
    this.#held = 0;
    this.#heldBits = 0;
  }
}

class Output {
  readonly #startBytes: number;
  readonly #bytesMax: number;
  #bytes: Uint8Array;
  #length: number;

  constructor(window: Uint8Array, freshBytesMax: number) {
    this.#startBytes = window.byteLength;
    this.#bytesMax = window.byteLength + freshBytesMax;
    this.#bytes = new Uint8Array(window.byteLength + 1_024);
    this.#bytes.set(window);
    this.#length = window.byteLength;
  }

  put(byte: number): void {
    if (this.#length >= this.#bytesMax) throw malformed("a header block that grows too large");
    if (this.#length === this.#bytes.byteLength) {
      const larger = new Uint8Array(this.#bytes.byteLength * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#length] = byte;
    this.#length += 1;
  }

  copy({ distance, length }: { readonly distance: number; readonly length: number }): void {
    if (distance > this.#length) throw malformed("a distance before the beginning");
    for (let index = 0; index < length; index += 1) this.put(this.#bytes[this.#length - distance] ?? 0);
  }

  fresh(): Uint8Array {
    return this.#bytes.slice(this.#startBytes, this.#length);
  }

  window(): Uint8Array {
    return this.#bytes.slice(Math.max(0, this.#length - WINDOW_BYTES), this.#length);
  }
}

function fail(what: string): never {
  throw malformed(`${what} that the format does not have`);
}

function malformed(what: string): StatusError {
  return new StatusError("BadRequest", `compressed headers hold ${what}`);
}
