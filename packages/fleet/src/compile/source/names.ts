import { createHash } from "node:crypto";

/** Longest name of a bundle that is made from a path: a Helm release's name has this limit. */
export const BUNDLE_NAME_MAX = 53;

function md5(text: string): string {
  return createHash("md5").update(text).digest("hex");
}

/** Cuts a name and marks the cut with five hex digits of the whole name's MD5 (fleet.md 2.5). */
export function limitName(name: string, max: number): string {
  if (name.length <= max) return name;
  const hexDigits = 5;
  if (max <= hexDigits) return md5(name).slice(0, max);
  const kept = name.slice(0, max - hexDigits - 1);
  return `${kept}${kept.endsWith("-") ? "" : "-"}${md5(name).slice(0, hexDigits)}`;
}

/** The name that Fleet gives a Helm release or a bundle that is called so. */
export function releaseName(text: string): string {
  const needsMark = /[^a-z0-9-]/.test(text);
  const marked = needsMark ? `${text}-${md5(text).slice(0, 8)}` : text;
  const plain = marked
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  if (/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(plain)) return limitName(plain, BUNDLE_NAME_MAX);
  return md5(text).slice(0, 24);
}

/**
 * Name of the bundle of a directory, as Fleet derives it when fleet.yaml gives none.
 * @param options path of the options file of an explicit scan
 */
export function bundleName(of: {
  readonly repo: string;
  readonly path: string;
  readonly options?: string;
}): string {
  const stem = of.options?.replace(/\.[^./]*$/, "");
  const parts = [of.repo, of.path, stem ?? ""].flatMap((part) => part.split("/"));
  return releaseName(parts.filter((part) => part !== "" && part !== ".").join("-"));
}

/** Joins names to one of at most 63 characters, marked with SHA-256 where it is cut (fleet.md 2.5). */
export function joinNames(...names: readonly string[]): string {
  const whole = names.join("-");
  if (whole.length <= 63) return whole;
  const hex = createHash("sha256").update(whole).digest("hex");
  return /[a-z0-9]$/i.test(whole.slice(0, 57))
    ? `${whole.slice(0, 57)}-${hex.slice(0, 5)}`
    : `${whole.slice(0, 56)}-${hex.slice(0, 6)}`;
}
