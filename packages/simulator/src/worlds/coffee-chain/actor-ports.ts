import type { Random } from "@cortado/std/random";
import type { RevisionChecker } from "../../checkers/revisions.ts";
import type { ChainPorts } from "./ports.ts";
import type { ChainStore } from "./store.ts";

/** What somebody who uses a store has. */
export type ActorPorts = ChainPorts & {
  readonly store: ChainStore;
  readonly random: Random;
  readonly revisions: RevisionChecker;
  readonly signal: AbortSignal;
};
