import { textAt, type Tree } from "@cortado/kinds/tree";
import type { LabelSelector as KindsSelector } from "@cortado/kinds";
import { selects } from "@cortado/kinds/label-selector";
import { messageOf } from "@cortado/std/status";
import type {
  BundleReport,
  BundleState,
  DependsOn,
  DesiredBundle,
  ResourceReport,
} from "../protocol/protocol.ts";
import type { Placed } from "./apply/place.ts";
import { driftOf, patchText } from "./drift/drift.ts";
import { REPORT_RESOURCES_MAX, REPORT_TEXT_MAX } from "./limits.ts";
import { readinessOf } from "./readiness/readiness.ts";

/** What a bundle is at a moment, for its report. */
export type BundleView = {
  readonly bundle: DesiredBundle;
  readonly appliedId: string;
  /** Why the last try failed; empty: it did not. */
  readonly error: string;
  /** What it waits for before it is applied; empty: nothing. */
  readonly waiting: string;
  /** Of what was last applied; undefined: its objects are not known yet. */
  readonly resources: readonly ResourceReport[] | undefined;
};

/** `undefined`: not there; "unseen": the watch has not told yet. */
export type Live = Tree | undefined | "unseen";

export type ResourceLook = {
  readonly liveOf: (placed: Placed) => Live;
  /** More on why an object is not ready; empty: nothing is known. */
  readonly whyOf: (placed: Placed, live: Tree) => string;
  readonly ready: (placed: Placed) => void;
};

/** Each object of a bundle against what is there. */
export function resourcesOf(
  placed: readonly Placed[],
  bundle: DesiredBundle,
  look: ResourceLook,
): readonly ResourceReport[] {
  const scalers = placed
    .filter(({ item }) => item.kind === "HorizontalPodAutoscaler")
    .map(({ body }) => body);
  const comparePatches = bundle.options.diff?.comparePatches ?? [];
  const ignore = bundle.options.ignore?.conditions ?? [];
  const waitsForJobs = bundle.options.waitForJobs === true;
  return placed.map((one) => {
    const live = look.liveOf(one);
    if (live === "unseen") return { ...one.item, state: "Unknown", message: "is not seen yet" };
    if (live === undefined) return { ...one.item, state: "Missing", message: "missing" };
    const readiness = readinessOf(live, { ignore, waitsForJobs });
    if (readiness.ready) look.ready(one);
    const why = readiness.ready ? [] : [readiness.message, look.whyOf(one, live)];
    try {
      // What somebody changed goes before what it led to: that is what has to be put right.
      const patch = driftOf(one.body, live, { comparePatches, scalers });
      const message = cut([patch && "modified", ...why].filter(Boolean).join("; "));
      if (patch !== undefined) return { ...one.item, state: "Modified", message, patch: shown(live, patch) };
      return readiness.ready ? { ...one.item, state: "Ready" } : { ...one.item, state: "NotReady", message };
    } catch (error) {
      return { ...one.item, state: "Unknown", message: cut(messageOf(error)) };
    }
  });
}

// Words of a Secret stay in the store.
function shown(live: Tree, patch: Tree): string {
  return textAt(live, "kind") === "Secret" ? "{}" : patchText(patch, REPORT_TEXT_MAX);
}

/** Is there anything that a correction of drift would change? */
export function isDrifted(resources: readonly ResourceReport[]): boolean {
  return resources.some(({ state }) => state === "Modified" || state === "Missing");
}

/** The report of a bundle; pure. */
export function reportOf(view: BundleView): BundleReport {
  const { bundle, appliedId, resources = [] } = view;
  const state = stateOf(view);
  const count = (...states: readonly string[]): number =>
    resources.filter((one) => states.includes(one.state)).length;
  const troubled = resources.filter((one) => one.state !== "Ready");
  return {
    name: bundle.name,
    appliedId,
    wantedId: bundle.deploymentId,
    state,
    message: messageFor(state, view, troubled),
    counts: {
      desired: bundle.chunks.length,
      ready: count("Ready"),
      notReady: count("NotReady", "Unknown"),
      modified: count("Modified"),
      missing: count("Missing"),
    },
    resources: troubled.slice(0, REPORT_RESOURCES_MAX),
  };
}

// The first rule that holds (fleet.md 3.4); what is missing counts as modified there.
function stateOf({ bundle, appliedId, error, resources }: BundleView): BundleState {
  const isApplied = appliedId === bundle.deploymentId;
  if (!isApplied && bundle.paused) return "OutOfSync";
  if (!isApplied) return error === "" ? "WaitApplied" : "ErrApplied";
  if (resources === undefined) return "NotReady";
  if (resources.some(({ state }) => state === "NotReady" || state === "Unknown")) return "NotReady";
  return isDrifted(resources) ? "Modified" : "Ready";
}

function messageFor(state: BundleState, view: BundleView, troubled: readonly ResourceReport[]): string {
  if (state === "OutOfSync") return "paused: staged and not applied";
  const parts = [view.error === "" ? view.waiting : view.error].filter((part) => part !== "");
  if (state === "NotReady" && view.resources === undefined) parts.push("it is not known what is there");
  if (state === "NotReady" || state === "Modified")
    for (const one of troubled.slice(0, 4)) {
      const name = one.namespace === "" ? one.name : `${one.namespace}/${one.name}`;
      const patch = one.patch === undefined ? "" : ` ${one.patch}`;
      parts.push(`${one.kind} ${name} ${one.message ?? one.state}${patch}`);
    }
  return cut(parts.join("; "));
}

function cut(text: string): string {
  return text.length <= REPORT_TEXT_MAX ? text : `${text.slice(0, REPORT_TEXT_MAX - 1)}…`;
}

export type Dependency = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined: nothing is known of it yet. */
  readonly state: BundleState | undefined;
};

/** What a bundle's dependencies still want (fleet.md 2.9), as a sentence; empty: they are as they should be. */
export function unmetDependency(dependsOn: readonly DependsOn[], others: readonly Dependency[]): string {
  for (const wanted of dependsOn) {
    const matching = others.filter((other) => isMatch(wanted, other));
    const named = wanted.name ?? JSON.stringify(wanted.selector ?? {});
    if (matching.length === 0)
      return `depends on bundle ${named}, which this store does not have; mend dependsOn or target it here`;
    const accepted: readonly string[] = wanted.acceptedStates ?? ["Ready"];
    const late = matching.find(({ state }) => state === undefined || !accepted.includes(state));
    if (late !== undefined) return `waits for bundle ${late.name}, which is ${late.state ?? "not known yet"}`;
  }
  return "";
}

function isMatch({ name, selector }: DependsOn, other: Dependency): boolean {
  const byName =
    name === undefined || other.name === name || other.labels["fleet.cattle.io/bundle-name"] === name;
  const isAsked = (name !== undefined && name !== "") || selector !== undefined;
  return isAsked && byName && (selector === undefined || selects(selector as KindsSelector, other.labels));
}
