import type { Client } from "@cortado/client";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import type { LoopMetrics } from "@cortado/client/loop";
import type { Caches } from "./caches.ts";
import type { Recorder } from "./events.ts";

/** What every loop of the room is given. */
export type Context = {
  readonly caches: Caches;
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  readonly recorder: Recorder;
  /** Resolves when every cache holds its first list. */
  readonly ready: Promise<unknown>;
  readonly signal: AbortSignal;
};
