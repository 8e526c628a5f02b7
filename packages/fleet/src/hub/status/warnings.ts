import type { Bundle, FleetCondition } from "@cortado/kinds/fleet";
import { withoutEffect, type Settings } from "../../compile/fleet-yaml/without-effect.ts";
import { READY_CHARS_MAX } from "../limits.ts";
import { WARNINGS_ANNOTATION } from "../sources/bundle-plan.ts";
import { withCondition } from "./summary.ts";

/** Says that something was warned of; a Bundle of which nothing is has no such condition. */
export const WARNED = "Warned";

/** Condition Warned, which makes nothing unready: a setting that changes nothing is told, and not only left out. */
export function withWarnings(
  conditions: readonly FleetCondition[],
  {
    bundle,
    isStrict,
    nowMs,
  }: { readonly bundle: Bundle; readonly isStrict: boolean; readonly nowMs: number },
): FleetCondition[] {
  const warnings = warningsOf(bundle, isStrict);
  if (warnings.length === 0) return conditions.filter(({ type }) => type !== WARNED);
  const message = warnings.join("; ").slice(0, READY_CHARS_MAX);
  return withCondition(conditions, { type: WARNED, isTrue: true, reason: "Warnings", message }, nowMs);
}

/** As compiling told them with their places; a Bundle that was written by hand is looked at itself. */
function warningsOf({ metadata, spec }: Bundle, isStrict: boolean): readonly string[] {
  const text = metadata.annotations?.[WARNINGS_ANNOTATION];
  if (text === undefined)
    return withoutEffect((spec ?? {}) as Settings, isStrict).map(({ message }) => message);
  try {
    const read = JSON.parse(text) as unknown;
    return Array.isArray(read) ? read.map(String) : [];
  } catch {
    // Somebody edited it; the next commit writes it anew.
    return [];
  }
}
