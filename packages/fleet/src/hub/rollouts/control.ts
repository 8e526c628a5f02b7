import type { Bundle } from "@cortado/kinds/fleet";
import type { RolloutControl } from "../../rollout/rollout.ts";

/** How people steer a rollout: `pause`, `promote=GENERATION` or `abort=GENERATION`. */
export const ROLLOUT_ANNOTATION = "fleet.cortado.dev/rollout";

export type Control = RolloutControl & {
  readonly text: string;
  /** Why the annotation cannot be obeyed. */
  readonly problem: string | undefined;
};

/** What a Bundle says about its rollout; one that cannot be read pauses it, as somebody meant something. */
export function controlOf({ metadata, spec }: Bundle): Control {
  const text = metadata.annotations?.[ROLLOUT_ANNOTATION]?.trim() ?? "";
  const [, word = "", number] = /^(pause|promote|abort)(?:=(\d{1,15}))?$/.exec(text) ?? [];
  const needsNumber = word === "promote" || word === "abort";
  const isGood =
    text === "" || (word === "pause" ? number === undefined : needsNumber && number !== undefined);
  const problem = `annotation ${ROLLOUT_ANNOTATION} is ${text}; write pause, promote=GENERATION or abort=GENERATION`;
  const generation = number === undefined ? undefined : Number(number);
  return {
    text,
    isPaused: spec?.paused === true || word === "pause" || !isGood,
    promote: isGood && word === "promote" ? generation : undefined,
    abort: isGood && word === "abort" ? generation : undefined,
    problem: isGood ? undefined : problem,
  };
}
