import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { User } from "./api.ts";

/** A request about a running pod or a node, after it was allowed. */
export type StreamTarget = {
  readonly user: User;
  /** log, exec, attach, portforward of pods; proxy of pods, services and nodes. */
  readonly resource: "pods" | "nodes" | "services";
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly query: URLSearchParams;
  /** What follows `proxy`. */
  readonly rest: string;
  readonly signal: AbortSignal;
};

export type PlainAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array>;
};

/** What the node does for the server: whatever reaches into a running pod. The server has checked who asks. */
export interface NodeStreams {
  /** `kubectl logs`: text as it comes; with `follow` until the signal aborts. @throws StatusError, before the first byte */
  log(target: StreamTarget): Promise<AsyncIterable<Uint8Array>>;
  /** exec, attach, portforward: an HTTP/1.1 upgrade as it came; whoever takes it writes the 101 and speaks WebSocket or SPDY. */
  upgrade(
    target: StreamTarget,
    connection: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Uint8Array },
  ): void;
  /** `proxy` of pods, services and nodes without upgrade. @throws StatusError */
  proxy(
    target: StreamTarget,
    request: {
      readonly method: string;
      readonly headers: Readonly<Record<string, string | undefined>>;
      readonly body: Uint8Array;
    },
  ): Promise<PlainAnswer>;
}

/** Measurements behind metrics.k8s.io; times are milliseconds since 1970. */
export type Usage = {
  readonly atMs: number;
  readonly windowMs: number;
  readonly cpuNanoCores: number;
  readonly memoryBytes: number;
};
export type PodUsage = {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly containers: readonly ({ readonly name: string } & Usage)[];
};
export type NodeUsage = { readonly name: string } & Usage;

export interface UsageSource {
  nodes(): Promise<readonly NodeUsage[]>;
  pods(namespace: string): Promise<readonly PodUsage[]>;
}

/** One of the checks behind /healthz, /livez and /readyz. */
export type HealthCheck = {
  readonly name: string;
  /** Which of the three lists it. /healthz has all. */
  readonly of: readonly ("live" | "ready")[];
  /** undefined: fine; else what is wrong. */
  check(): string | undefined | Promise<string | undefined>;
};

/** Finds out who sends a bearer token; undefined: not one of mine. */
export type TokenReader = (
  token: string,
  options: { readonly audiences: readonly string[] },
) => Promise<User | undefined>;
