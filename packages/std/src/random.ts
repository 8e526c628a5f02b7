/** Chance comes in by this door only: same seed, same trace. */
export interface Random {
  /** Evenly in [0, 1). */
  float(): number;
  /** A whole number evenly in [0, below). */
  integer(below: number): number;
  bytes(length: number): Uint8Array;
  /** A version 4 UUID. */
  uuid(): string;
}

// Kubernetes leaves out vowels and look-alikes, so that no generated name spells a word.
const suffixLetters = "bcdfghjklmnpqrstvwxz2456789";

/** What `generateName` appends: five letters by default (apiserver, pkg/storage/names). */
export function nameSuffix(random: Random, length = 5): string {
  let text = "";
  while (text.length < length) text += suffixLetters[random.integer(suffixLetters.length)];
  return text;
}

/** A repeatable generator (xoshiro128** seeded by splitmix32). Not for secrets. */
export function seededRandom(seed: number): Random {
  const state = new Uint32Array(4);
  let mix = seed >>> 0;
  for (let index = 0; index < 4; index += 1) {
    mix = (mix + 0x9e3779b9) >>> 0;
    let word = mix;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    state[index] = (word ^ (word >>> 16)) >>> 0;
  }
  const next = (): number => nextWord(state);
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => next() >>> 24);
  return {
    float: () => next() / 2 ** 32,
    integer: (below) => Math.floor((next() / 2 ** 32) * below),
    bytes,
    uuid: () => uuidFrom(bytes(16)),
  };
}

function nextWord(state: Uint32Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = state;
  const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
  const shifted = b << 9;
  const c2 = c ^ a;
  const d2 = d ^ b;
  state[0] = a ^ d2;
  state[1] = b ^ c2;
  state[2] = c2 ^ shifted;
  state[3] = rotate(d2, 11);
  return result;
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** Sixteen bytes written as a version 4 UUID. */
export function uuidFrom(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte, index) => {
    if (index === 6) return (byte & 0x0f) | 0x40;
    return index === 8 ? (byte & 0x3f) | 0x80 : byte;
  })
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    "-",
  );
}
