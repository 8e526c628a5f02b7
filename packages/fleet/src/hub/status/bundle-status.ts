import type { Bundle, BundleRollout } from "@cortado/kinds/fleet";
import type { Core } from "../core.ts";
import { storyOf, withRollout } from "../rollouts/story.ts";
import { sumUp, withCondition } from "./summary.ts";
import { withWarnings } from "./warnings.ts";

const zeros = { notReady: 0, waitApplied: 0, errApplied: 0, outOfSync: 0, modified: 0, pending: 0 };

/** The status of a Bundle as its cells are. */
export function bundleStatus(
  { cells, bundles, stores, ports, options }: Core,
  of: {
    readonly key: string;
    readonly bundle: Bundle;
    readonly rollout: BundleRollout | undefined;
    readonly problem: string | undefined;
  },
): NonNullable<Bundle["status"]> {
  const number = bundles.numberOf(of.key);
  const summed = sumUp(cells, cells.ofBundle(number), (cell) => stores.at(cell.cluster)?.key ?? "");
  const { ready, desiredReady } = summed.summary;
  // Who asks why a Bundle is not Ready hears first that its rollout halted, and what to do.
  const halted = of.rollout?.phase === "Halted" ? storyOf(of.bundle, of.rollout) : "";
  const message = [of.problem ?? "", halted, summed.message].filter((text) => text !== "").join("; ");
  const isTrue = of.problem === undefined && summed.state === "Ready";
  const nowMs = ports.clock.nowMs();
  const told = { type: "Ready", isTrue, reason: of.problem === undefined ? "" : "Error", message };
  const warned = { bundle: of.bundle, isStrict: options.isStrict, nowMs };
  const conditions = withWarnings(withCondition(of.bundle.status?.conditions, told, nowMs), warned);
  return {
    conditions:
      of.rollout === undefined
        ? conditions
        : withRollout(conditions, { bundle: of.bundle, rollout: of.rollout, nowMs }),
    summary: { ...zeros, nonReadyResources: [], ...summed.summary },
    display: {
      readyClusters: `${ready}/${desiredReady}`,
      state: of.problem === undefined ? summed.state : "ErrApplied",
    },
    observedGeneration: of.bundle.metadata.generation ?? 0,
    unavailable: desiredReady - ready,
    ...(of.rollout === undefined ? {} : { rollout: of.rollout }),
  };
}
