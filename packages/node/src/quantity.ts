const binary: Readonly<Record<string, number>> = { Ki: 1, Mi: 2, Gi: 3, Ti: 4, Pi: 5, Ei: 6 };
const decimal: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  "": 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};

/** A Kubernetes quantity as a number, near enough for limits and thresholds; NaN when it is not one. */
export function quantity(value: string | number | undefined): number {
  if (value === undefined) return 0;
  if (typeof value === "number") return value;
  const parts = /^([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|([KMGTPE]i)|([numkMGTPE]?))$/.exec(value);
  if (parts === null) return Number.NaN;
  const [, digits = "", exponent, power, letter = ""] = parts;
  const amount = Number(digits);
  if (exponent !== undefined) return amount * 10 ** Number(exponent);
  if (power !== undefined) return amount * 1024 ** (binary[power] ?? 0);
  const by = decimal[letter] ?? 0;
  return by < 0 ? amount / 10 ** -by : amount * 10 ** by;
}

/** Cores as whole thousandths, rounded up as upstream does. */
export function milliCpu(value: string | number | undefined): number {
  return Math.max(0, Math.ceil(quantity(value) * 1_000 - 1e-9));
}
