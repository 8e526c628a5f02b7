import type { RolloutInput, RolloutPlan, RolloutRecord } from "./model.ts";
import { planStrictly } from "./strict.ts";
import { planInWaves } from "./waves.ts";

export type {
  RolloutStore,
  RolloutControl,
  RolloutGates,
  RolloutRecord,
  DrawnWaves,
  RolloutInput,
  Wave,
  RolloutPlan,
} from "./model.ts";

/**
 * What becomes of a rollout now. Pure; to be asked when a store's state, the wish or the control changes, and at `lookAgainAtMs`.
 * The record it answers is to be kept before anything is released.
 * @throws StatusError "Invalid" for a strategy that cannot be read; nothing changes then
 */
export function planRollout(input: RolloutInput): RolloutPlan {
  return input.isStrict ? planStrictly(input) : planInWaves(input);
}

/** The record with which a new wish begins. */
export function nextGeneration(record: RolloutRecord | undefined): RolloutRecord {
  const { generation = 0, base = 0 } = record ?? {};
  return { generation: generation + 1, base, open: 0, openedAtMs: 0, phase: "Progressing", reason: "" };
}
