import type { ApiServer } from "@cortado/apiserver";
import type { LoopMetrics } from "@cortado/client/loop";
import type { ServerConfig } from "../config/server-config.ts";
import type { Ports } from "./api.ts";

/** What every part of a store is started with. */
export type Parts = {
  readonly config: ServerConfig;
  readonly ports: Ports;
  readonly server: ApiServer;
  readonly loopMetrics: LoopMetrics;
  readonly signal: AbortSignal;
};
