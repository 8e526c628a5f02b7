import type { Claims } from "../../checkers/claims.ts";
import type { SimulatedClock } from "../../clock.ts";
import type { Trace } from "../../trace.ts";
import type { ContainerChecker } from "./containers.ts";

/** Deliberate faults of the rooms, to prove that the checkers find them. */
export type RoomFault = "forgets-commit" | "sync-lies" | "watch-drops";

/** What all of a chain share. */
export type ChainPorts = {
  readonly clock: SimulatedClock;
  readonly trace: Trace;
  readonly claims: Claims;
  readonly containers: ContainerChecker;
  readonly fault: RoomFault | undefined;
};
