import type { Random } from "@cortado/std/random";
import type { HubLife } from "./hub.ts";
import type { Operator } from "./operator.ts";
import type { FleetOptions, FleetPorts } from "./ports.ts";
import type { MemoryGit } from "./repository.ts";
import type { FleetStore } from "./store.ts";

/** What a run is made of. */
export type World = FleetPorts & {
  readonly options: FleetOptions;
  readonly random: Random;
  readonly git: MemoryGit;
  readonly hub: HubLife;
  readonly stores: readonly FleetStore[];
  readonly operator: Operator;
};
