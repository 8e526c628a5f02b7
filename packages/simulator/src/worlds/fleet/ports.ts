import type { Claims } from "../../checkers/claims.ts";
import type { RolloutChecker } from "../../checkers/rollout.ts";
import type { SimulatedClock } from "../../clock.ts";
import type { Trace } from "../../trace.ts";
import type { CentralEvents } from "./journal.ts";

/** What all of a fleet's world have in common. */
export type FleetPorts = {
  readonly clock: SimulatedClock;
  readonly trace: Trace;
  readonly claims: Claims;
  readonly central: CentralEvents;
  readonly rollouts: RolloutChecker;
};

/** A deliberate fault, for the checkers' own tests. */
export type FleetFault =
  /** A store's Kubernetes loses an object. */
  | "object-lost"
  /** The hub acknowledges events that it does not keep. */
  | "events-lost"
  /** A store applies a release that nobody let it have. */
  | "release-leaks";

export type FleetOptions = {
  readonly seed: number;
  readonly clusters: number;
  readonly minutes: number;
  /** How often a hub, an agent or a store is killed or cut off. */
  readonly kills: number;
  readonly fault?: FleetFault;
};

/** A process: alive until it is not, and then nothing of it has any effect. */
export class Process {
  alive = true;
  readonly #ends: (() => void)[] = [];

  atEnd(end: () => void): void {
    this.#ends.push(end);
  }

  die(): void {
    this.alive = false;
    for (const end of this.#ends.splice(0)) end();
  }
}
