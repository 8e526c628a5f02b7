import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Client } from "@cortado/client";
import type { Tree } from "@cortado/kinds/tree";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { HttpHandler } from "@cortado/std/http";
import type { Log } from "@cortado/std/log";
import type { Connection } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import type {
  BundleFile,
  BundleOptions,
  BundleSpec,
  ClusterFacts,
  Compiled,
  TargetResult,
} from "../compile/bundle.ts";
import type { DeployOptions, HubLink } from "../protocol/protocol.ts";
import type { AuditTrail } from "./audit.ts";
import type { RolloutGates, RolloutInput, RolloutPlan } from "../rollout/rollout.ts";

/** A bundle as it is rendered: the same for all clusters of a variant. */
export type RenderInput = {
  readonly namespace: string;
  readonly name: string;
  readonly files: readonly BundleFile[];
  /** Merged for the cluster, templates filled in. */
  readonly options: BundleOptions;
  /** Of the Git commit, for the version of a chart; empty: unknown. */
  readonly commit: string;
  /** Objects that are not of the files: copies of what the hub has. */
  readonly copies: readonly Tree[];
  readonly signal: AbortSignal;
};

/** Objects in the order of the bundle, each as canonical JSON under its SHA-256. */
export type RenderedContent = {
  /** `MANIFEST:OPTIONS`. */
  readonly deploymentId: string;
  /** What agents have to know of the options. */
  readonly options: DeployOptions;
  readonly chunks: readonly { readonly sha256: string; readonly content: Uint8Array }[];
};

/** What the hub asks of the compiler's room. */
export interface Compiler {
  /** Reads the targets of a bundle once. @throws StatusError "Invalid" that names the target and the field */
  newTargeter(bundle: {
    readonly name: string;
    readonly spec: BundleSpec;
  }): (cluster: ClusterFacts) => TargetResult;
  /** @throws StatusError that names the file, and what to do */
  render(input: RenderInput): Promise<RenderedContent>;
}

export type ClusterKey = { readonly namespace: string; readonly name: string };

/** Signs a certificate: common name `NAMESPACE/NAME`, organization `cortado:stores`, for TLS clients only; PEM. */
export type Issue = (options: {
  readonly publicKey: string;
  readonly cluster: ClusterKey;
  readonly days: number;
}) => Promise<string>;

/** Takes what a store's journal sent; answers the sequence up to which it is on disk. */
export type TakeEvents = (cluster: ClusterKey, events: readonly unknown[]) => Promise<number>;

/** An object of ours, and fields of its status as they are now, each whole; fields that are not named stay. */
export type OwnStatus = ClusterKey & {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly manager: string;
  readonly fields: Tree;
};

export type HubPorts = {
  readonly client: Client;
  /**
   * Writes a status that nobody but the hub writes, durably, past what the API does for clients that it does not know: a store comes
   * often, and its status is written each time. @throws StatusError "NotFound"
   */
  readonly writeOwnStatus: (own: OwnStatus) => Promise<void>;
  readonly compiler: Compiler;
  /** The pure function of rollout/. */
  readonly plan: (input: RolloutInput) => RolloutPlan;
  readonly issue: Issue;
  readonly takeEvents: TakeEvents;
  readonly files: Files;
  readonly clock: Clock;
  /** For session words and tokens: it must be one for secrets. */
  readonly random: Random;
  readonly log: Log;
  /** Keeps what somebody tried and was refused, beside the log; absent: the log alone has it. */
  readonly audit?: AuditTrail;
  /**
   * The API of another cluster, as a kubeconfig says that is somebody else's; `about` is what that is called.
   * @throws StatusError "Invalid" for one that cannot be used. Absent: no cluster is dialled
   */
  readonly reachCluster?: (kubeconfig: string, about: string) => Promise<ReachedCluster>;
  /** What holds a rollout back; absent: nothing. */
  readonly gates?: (bundle: ClusterKey) => RolloutGates;
};

export type ReachedCluster = Disposable & { readonly client: Client };

export type HubOptions = {
  /** For chunks and sources; nobody else writes there. */
  readonly folder: string;
  /** As stores reach the hub: `https://hub.example:8443`. */
  readonly url: string;
  /** PEM of the authority that signed the hub's own certificate. */
  readonly authority: string;
  /** Unheard for so long, a store is Offline; default 30 s. */
  readonly offlineAfterMs?: number;
  /** How often a connected agent must be heard; default two thirds of that. */
  readonly heartbeatMs?: number;
  /** Connections that are held; a store beyond them is told to come back after `sleepMs`. */
  readonly maxHeld?: number;
  readonly sleepMs?: number;
  readonly certificateDays?: number;
  /** How long a store of a wave may take; default 5 min. */
  readonly waveDeadlineMs?: number;
  /** Between two looks for content that nothing names; default 1 h. */
  readonly sweepEveryMs?: number;
  /** Fleet's partitions in place of canary and waves. */
  readonly isStrict?: boolean;
  /** Of the agents that the hub installs (spec.kubeConfigSecret of a Cluster): has cortado on its PATH. Empty: it installs none. */
  readonly agentImage?: string;
};

/** Who is at the other end of a connection, as TLS proved it: the key in the certificate, and whether the dates hold. */
export type PeerIdentity = {
  readonly cluster: ClusterKey;
  /** SHA-256 of the public key (SPKI, DER), hex. */
  readonly keySha256: string;
  readonly isExpired: boolean;
  readonly remote: string;
};

export type HubRoute = {
  readonly path: string;
  readonly methods: readonly string[];
  /** Each of these checks its caller itself: a token, or a signature by the store's key. */
  readonly allow: "anyone";
  readonly handle: HttpHandler;
};

/** As the API server's port View has it. */
export type ViewItem = { readonly key: string; readonly object: Tree; readonly revision: number };
export type ViewChange =
  | { readonly kind: "added" | "changed"; readonly key: string }
  | { readonly kind: "gone"; readonly key: string; readonly item: ViewItem };
export type ViewPage = { readonly items: readonly ViewItem[]; readonly remaining: number };
export interface View {
  readonly group: string;
  readonly plural: string;
  readonly instead: string;
  get(key: string): ViewItem | undefined | Promise<ViewItem | undefined>;
  list(query: {
    readonly prefix: string;
    readonly after: string | undefined;
    readonly limit: number | undefined;
  }): ViewPage | Promise<ViewPage>;
  put(change: { readonly key: string; readonly object: Tree; readonly current: Tree }): Promise<number>;
  changes(listener: (change: ViewChange) => void): Disposable;
}

/** What became of applying a repository's bundles. */
export type Applied = {
  readonly made: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** Kept though the repository no longer shows them, and why. */
  readonly kept: readonly { readonly name: string; readonly why: string }[];
};

export type HubFigures = {
  readonly clusters: number;
  readonly cells: number;
  readonly connected: number;
  readonly variants: number;
};

export interface RunningHub extends AsyncDisposable {
  /** Resolves when the rows are loaded. */
  readonly ready: Promise<void>;
  readonly routes: readonly HubRoute[];
  /** Answers `GET /fleet/v1/connect`; the socket is one of TLS that asked for a certificate without insisting on its dates. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void;
  /** Serves one connection until it ends: what `upgrade` does once it knows the peer. */
  serveLink(link: HubLink, identity: PeerIdentity): Promise<void>;
  /** Makes Bundles of what a repository compiled to. Changes nothing that runs on account of a problem. */
  applyCompiled(gitRepo: ClusterKey, compiled: Compiled, commit: string): Promise<Applied>;
  readonly figures: HubFigures;
  /**
   * A stream into a store's API, over the connection that the store opened. Waits a moment for one that is calling again.
   * @throws StatusError "NotFound", "ServiceUnavailable" with since when the store is Offline, "TooManyRequests"
   */
  openStream(cluster: ClusterKey, options: { readonly signal: AbortSignal }): Promise<Connection>;
  /** Clusters that are there now. */
  readonly clusters: Iterable<ClusterKey>;
  /** Calls when one has come or gone. */
  onClusters(listener: () => void): Disposable;
}

/**
 * What the door `newHub()` will answer: views go to the API server before it starts (createApiServer({ definitions:
 * fleetDefinitions, views })), and the hub is started with a client of that server.
 */
export interface HubParts {
  readonly views: readonly View[];
  start(options: HubOptions, ports: HubPorts): Promise<RunningHub>;
}
