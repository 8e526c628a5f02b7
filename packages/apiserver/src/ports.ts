import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Tree } from "@cortado/kinds/tree";
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

/** An object of a view; `key` is `NAMESPACE/NAME`, or `NAME` of a kind without namespaces. */
export type ViewItem = {
  readonly key: string;
  /** With apiVersion, kind, and a metadata without resourceVersion that stays the same while nothing changes. */
  readonly object: Tree;
  /** Of the newest thing that it is computed from: its resourceVersion. */
  readonly revision: number;
};

export type ViewChange =
  | { readonly kind: "added" | "changed"; readonly key: string }
  /** With what it was. */
  | { readonly kind: "gone"; readonly key: string; readonly item: ViewItem };

/**
 * A kind whose objects are computed and not stored. A definition must serve the kind; the server then asks the view where it
 * would ask its store. Nothing is created or deleted through it.
 */
export interface View {
  readonly group: string;
  readonly plural: string;
  /** What to do in place of creating or deleting one; ends a message. */
  readonly instead: string;
  get(key: string): ViewItem | undefined | Promise<ViewItem | undefined>;
  /** Items whose key begins with `prefix` and is greater than `after`, in order of keys. */
  list(query: {
    readonly prefix: string;
    readonly after: string | undefined;
    readonly limit: number | undefined;
  }): ViewPage | Promise<ViewPage>;
  /**
   * Keeps what somebody changed in an object and answers the revision of that, once it is durable.
   * @throws StatusError that names what cannot be changed
   */
  put(change: { readonly key: string; readonly object: Tree; readonly current: Tree }): Promise<number>;
  /** Tells each change after `get` answers it. */
  changes(listener: (change: ViewChange) => void): Disposable;
}

export type ViewPage = { readonly items: readonly ViewItem[]; readonly remaining: number };
