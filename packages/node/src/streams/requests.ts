import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { PodRecord } from "../pods/record.ts";
import type { PodStarter } from "../pods/starter.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { LogOptions } from "./logs.ts";

export type PodName = { readonly namespace: string; readonly pod: string };

export type LogRequest = PodName &
  LogOptions & { readonly container?: string; readonly previous?: boolean; readonly signal: AbortSignal };

/** An upgrade as it came: ours to answer from here on. */
export type Upgrade = { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Buffer };

export type ExecRequest = PodName & {
  readonly container?: string;
  readonly command: readonly string[];
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
};

export type StreamsPorts = {
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly records: () => ReadonlyMap<string, PodRecord>;
  readonly starter: PodStarter;
};
