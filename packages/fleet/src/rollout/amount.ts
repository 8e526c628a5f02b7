import { StatusError } from "@cortado/std/status";

/**
 * How many of `count` a field of a strategy means, with Fleet's quirks (fleet.md 2.8): percents round down and are at least one,
 * numbers are held between none and all, a number written as text is taken as it is, and of nothing it is one.
 * @throws StatusError "Invalid"
 */
export function amountOf(
  value: number | string,
  { count, field }: { readonly count: number; readonly field: string },
): number {
  if (count === 0) return 1;
  if (typeof value === "number") return Math.min(count, Math.max(0, Math.trunc(value)));
  const percent = /^(\d+)%$/.exec(value);
  if (percent !== null) return Math.max(1, Math.floor((count * Number(percent[1])) / 100));
  if (/^-?\d+$/.test(value)) return Number(value);
  throw new StatusError(
    "Invalid",
    `rolloutStrategy.${field} is ${JSON.stringify(value)}; write a number or a percentage such as "25%"`,
  );
}
