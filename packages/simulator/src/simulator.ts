import { runCoffeeChain } from "./worlds/coffee-chain/coffee-chain.ts";
import { runFleet } from "./worlds/fleet/fleet.ts";
import type { FleetOptions } from "./worlds/fleet/ports.ts";
import type { RoomFault } from "./worlds/coffee-chain/ports.ts";

export type { FleetFault, FleetOptions } from "./worlds/fleet/ports.ts";
export type { RoomFault } from "./worlds/coffee-chain/ports.ts";

export type SimulationOptions = {
  /** Everything that chance decides follows from it. */
  readonly seed: number;
  readonly stores: number;
  /** Of held time. */
  readonly minutes: number;
  /** A deliberate fault of a room, for the checkers' own tests. */
  readonly fault?: RoomFault;
};

export type Simulation = {
  readonly seed: number;
  /** SHA-256 over all that happened: same seed, same options, same commit, same hash. */
  readonly traceHash: string;
  /** How often each thing happened. */
  readonly counts: Readonly<Record<string, number>>;
  /** The first claim that did not hold, and the last lines of the trace before it was seen. */
  readonly broken:
    | {
        readonly sentence: string;
        readonly store: string;
        readonly atMs: number;
        readonly detail: string;
        readonly tail: readonly string[];
      }
    | undefined;
};

/** Runs the world "fleet": a hub and its stores, the real rooms of both, under kills, power cuts, broken lines and bad releases. */
export async function simulateFleet(options: FleetOptions): Promise<Simulation> {
  return { seed: options.seed, ...(await runFleet(options)) };
}

/** Runs the world "coffee-chain": the real rooms of many stores in one process, on a held clock, under faults. */
export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { traceHash, counts, broken } = await runCoffeeChain(options);
  return { seed: options.seed, traceHash, counts, broken };
}
