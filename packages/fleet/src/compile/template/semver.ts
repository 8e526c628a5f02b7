import { StatusError } from "@cortado/std/status";

/** Field names are those that sprig's `semver` shows to a template. */
export type Version = {
  readonly Major: number;
  readonly Minor: number;
  readonly Patch: number;
  readonly Prerelease: string;
  readonly Metadata: string;
  readonly Original: string;
};

const pattern = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?$/;

export function isVersion(text: string): boolean {
  return pattern.test(text);
}

/** Minor and patch may be absent, and are 0 then. @throws StatusError "Invalid" */
export function readVersion(text: string): Version {
  const parts = pattern.exec(text);
  if (parts === null) throw new StatusError("Invalid", `${JSON.stringify(text)} is no semantic version`);
  return {
    Major: Number(parts[1]),
    Minor: Number(parts[2] ?? 0),
    Patch: Number(parts[3] ?? 0),
    Prerelease: parts[4] ?? "",
    Metadata: parts[5] ?? "",
    Original: text,
  };
}

/** Below 0 when one comes before the other (semver.org, 11). */
export function compareVersions(one: Version, other: Version): number {
  for (const key of ["Major", "Minor", "Patch"] as const)
    if (one[key] !== other[key]) return one[key] - other[key];
  if (one.Prerelease === other.Prerelease) return 0;
  if (one.Prerelease === "") return 1;
  if (other.Prerelease === "") return -1;
  const [left, right] = [one.Prerelease.split("."), other.Prerelease.split(".")];
  for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
    const order = compareWords(left[at], right[at]);
    if (order !== 0) return order;
  }
  return 0;
}

function compareWords(one: string | undefined, other: string | undefined): number {
  if (one === undefined || other === undefined) return one === other ? 0 : one === undefined ? -1 : 1;
  const [isNumber, isOtherNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)];
  if (isNumber && isOtherNumber) return Number(one) - Number(other);
  if (isNumber !== isOtherNumber) return isNumber ? -1 : 1;
  return one < other ? -1 : one > other ? 1 : 0;
}

/**
 * Does a version fit a constraint of Helm's kind: `^1.2`, `~1.2`, `>=1.2 <2`, `1.2 - 1.4`, `1.x`, `||`? A version with a prerelease fits
 * only where the constraint names one.
 * @throws StatusError "Invalid" for what is no constraint
 */
export function satisfies(version: Version, constraint: string): boolean {
  const alternatives = constraint.split("||").map((part) => readRanges(part.trim(), constraint));
  return alternatives.some((ranges) => ranges.every((range) => isIn(version, range)));
}

type Range = {
  readonly sign: string;
  readonly version: Version;
  /** How many numbers were given; the rest is free. */
  readonly given: number;
};

function readRanges(part: string, whole: string): readonly Range[] {
  const wrong = new StatusError("Invalid", `${JSON.stringify(whole)} is no constraint on versions`);
  if (part === "") throw wrong;
  const between = part.replaceAll(/(\S+)\s+-\s+(\S+)/g, ">=$1 <=$2");
  const words = between
    .replaceAll(/(=>|=<|[!<>=~^]+)\s+/g, "$1")
    .split(/[\s,]+/)
    .filter((word) => word !== "");
  return words.map((word) => {
    const parts =
      /^(=|!=|>|<|>=|=>|<=|=<|~|~>|\^)?v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/.exec(
        word,
      );
    if (parts === null) throw wrong;
    const numbers = parts.slice(2, 5);
    const free = numbers.findIndex((number) => number === undefined || /[xX*]/.test(number));
    const given = free === -1 ? 3 : free;
    const told = numbers.slice(0, given).concat(["0", "0", "0"]).slice(0, 3);
    return {
      sign: (parts[1] ?? "").replace("=>", ">=").replace("=<", "<=").replace("~>", "~"),
      version: readVersion(`${told.join(".")}${parts[5] ?? ""}`),
      given,
    };
  });
}

/** The first version past those that share so many numbers. */
function after(version: Version, kept: number): Version {
  const { Major, Minor, Patch } = version;
  if (kept <= 0) return readVersion(`${Number.MAX_SAFE_INTEGER}.0.0`);
  if (kept === 1) return readVersion(`${Major + 1}.0.0`);
  return readVersion(kept === 2 ? `${Major}.${Minor + 1}.0` : `${Major}.${Minor}.${Patch + 1}`);
}

function isIn(version: Version, { sign, version: bound, given }: Range): boolean {
  if (version.Prerelease !== "" && bound.Prerelease === "") return false;
  const order = compareVersions(version, bound);
  const isBefore = (kept: number): boolean => compareVersions(version, after(bound, kept)) < 0;
  const isOne = given === 3 ? order === 0 : order >= 0 && isBefore(given);
  switch (sign) {
    case "":
    case "=":
      return isOne;
    case "!=":
      return !isOne;
    case ">":
      return given === 3 ? order > 0 : order >= 0 && !isBefore(given);
    case ">=":
      return order >= 0;
    case "<":
      return order < 0;
    case "<=":
      return given === 3 ? order <= 0 : isBefore(given);
    case "~":
      return order >= 0 && isBefore(Math.min(given, 2));
    default: {
      const firstSet = bound.Major > 0 || given <= 1 ? 1 : bound.Minor > 0 || given === 2 ? 2 : 3;
      return order >= 0 && isBefore(given === 0 ? 0 : firstSet);
    }
  }
}
