/** Quantities exactly, as upstream keeps them (apimachinery, pkg/api/resource/quantity.go): never through a double. */
export type QuantityValue = {
  /** The value times 10^9: nano units, the finest that upstream keeps. */
  readonly nano: bigint;
  readonly format: "binary" | "decimal" | "exponent";
};

const pattern = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?[0-9]+)?$/;
const decimalPowers = new Map([
  ["n", -9],
  ["u", -6],
  ["m", -3],
  ["", 0],
  ["k", 3],
  ["M", 6],
  ["G", 9],
  ["T", 12],
  ["P", 15],
  ["E", 18],
]);
const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const QUANTITY_LETTERS_MAX = 64;
const NANO = 10n ** 9n;

/** Reads a quantity; undefined when it is none. */
export function parseQuantity(input: unknown): QuantityValue | undefined {
  const text = typeof input === "number" || typeof input === "bigint" ? String(input) : input;
  if (typeof text !== "string" || text.length > QUANTITY_LETTERS_MAX) return undefined;
  const parts = pattern.exec(text);
  const [, sign = "", whole = "", fraction = "", suffix = ""] = parts ?? [];
  if (parts === null || whole + fraction === "") return undefined;
  const digits = BigInt(whole + fraction) * (sign === "-" ? -1n : 1n);
  const binary = binarySuffixes.indexOf(suffix);
  if (suffix !== "" && binary > 0)
    return {
      nano: roundUp(digits * 1024n ** BigInt(binary) * NANO, 10n ** BigInt(fraction.length)),
      format: "binary",
    };
  const isExponent = /^[eE]./.test(suffix);
  const power = isExponent ? Number(suffix.slice(1)) : (decimalPowers.get(suffix) ?? 0);
  if (Math.abs(power) > 40) return undefined;
  const scale = power + 9 - fraction.length;
  const nano = scale >= 0 ? digits * 10n ** BigInt(scale) : roundUp(digits, 10n ** BigInt(-scale));
  return { nano, format: isExponent ? "exponent" : "decimal" };
}

// Upstream rounds away from zero what is finer than a nano unit.
function roundUp(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  if (quotient * by === value) return quotient;
  return value < 0n ? quotient - 1n : quotient + 1n;
}

/** The one way to write it: the largest unit without a fraction. */
export function quantityText({ nano, format }: QuantityValue): string {
  if (nano === 0n) return "0";
  const size = nano < 0n ? -nano : nano;
  // Below 1024 a binary quantity is written in decimal, as upstream does.
  if (format === "binary" && size % NANO === 0n && size >= 1024n * NANO) return binaryText(nano / NANO);
  let value = nano;
  let power = -9;
  while (value % 1000n === 0n && power < 18) {
    value /= 1000n;
    power += 3;
  }
  if (format === "exponent") return power === 0 ? `${value}` : `${value}e${power}`;
  const suffix = [...decimalPowers].find(([, known]) => known === power)?.[0] ?? "";
  return `${value}${suffix}`;
}

function binaryText(whole: bigint): string {
  let value = whole;
  let index = 0;
  while (value % 1024n === 0n && index < binarySuffixes.length - 1) {
    value /= 1024n;
    index += 1;
  }
  return `${value}${binarySuffixes[index]}`;
}

/** A quantity in its one form; undefined when it is none. */
export function canonicalQuantity(input: unknown): string | undefined {
  const value = parseQuantity(input);
  return value === undefined ? undefined : quantityText(value);
}

/** Thousandths as a number, for scheduling and shares; rounds up. */
export function milliOf(input: unknown): number {
  const value = parseQuantity(input);
  return value === undefined ? 0 : Number(roundUp(value.nano, 10n ** 6n));
}

/** Whole units as a number (bytes); rounds up. */
export function unitsOf(input: unknown): number {
  const value = parseQuantity(input);
  return value === undefined ? 0 : Number(roundUp(value.nano, NANO));
}

export function compareQuantities(one: unknown, other: unknown): number {
  const a = parseQuantity(one)?.nano ?? 0n;
  const b = parseQuantity(other)?.nano ?? 0n;
  return a < b ? -1 : a > b ? 1 : 0;
}
