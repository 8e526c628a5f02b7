import type { Client } from "@cortado/client";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Connection } from "@cortado/std/net";
import type { Random } from "@cortado/std/random";
import type { ByteAllowance } from "./byte-budget.ts";
import type { AgentLink, BundleReport } from "../protocol/protocol.ts";
import type { RegisterAnswer, RegisterRequest, RenewRequest } from "../protocol/protocol.ts";

/** What one agent is told by who starts it. */
export type AgentOptions = {
  readonly version: string;
  /** `K10<SHA-256 hex of the hub's CA as PEM>::fleet:<secret>`; wanted until a first registration has succeeded. */
  readonly token?: string;
  /** Name of the Cluster that is wanted at the hub; absent: the hub makes one. */
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent: the uid of the namespace kube-system. */
  readonly clientId?: string;
  /** Where the agent keeps its Secrets and whose ServiceAccounts bundles may name; `cattle-fleet-system`. */
  readonly namespace?: string;
};

/** PEM of who signs the hub's certificates; nothing else is trusted. */
export type Trust = { readonly authority: string; readonly signal: AbortSignal };

/** The hub before there is a link, and the way to one. */
export interface HubDoor {
  /** `GET /cacerts`, believed by nobody until its hash is the token's. */
  readAuthority(options: { readonly signal: AbortSignal }): Promise<string>;
  /** @throws StatusError "Unauthorized" for a token that is not one, "Conflict" for a name that is another's */
  register(request: RegisterRequest, trust: Trust): Promise<RegisterAnswer>;
  /** `GET /fleet/v1/challenge`: `{ "challenge": "…" }`. */
  challenge(trust: Trust): Promise<string>;
  /** `POST /fleet/v1/renew`: `{ "certificate": "…" }`. @throws StatusError "Forbidden" for a store that was revoked */
  renew(request: RenewRequest, trust: Trust): Promise<{ readonly certificate: string }>;
  /** A WebSocket to `/fleet/v1/connect` under mutual TLS. @throws StatusError "ServiceUnavailable" when nobody answers */
  dial(credential: Credential, trust: Trust): Promise<AgentLink>;
}

export type Credential = { readonly certificate: string; readonly privateKey: string };

/** Keys of P-256 and what is done with them; of the machine, or seeded in the simulator. */
export interface Keys {
  /** PEM: PKCS 8 and SPKI. */
  make(): { readonly privateKey: string; readonly publicKey: string };
  publicOf(privateKey: string): string;
  /** Base64 of the ECDSA signature with SHA-256 over the text. */
  sign(privateKey: string, text: string): string;
  /** From when to when a certificate holds, milliseconds since 1970. */
  validity(certificate: string): { readonly fromMs: number; readonly untilMs: number };
}

/** Where chunks wait, by their SHA-256. What is put may be forgotten when it is full; the hub is asked again then. */
export interface ChunkStore {
  /** The canonical JSON; undefined when it is not there. */
  read(sha256: string): Promise<Uint8Array | undefined>;
  /** @param keep every chunk that a bundle of now names: none of them is forgotten for this one */
  put(sha256: string, bytes: Uint8Array, options: { readonly keep: ReadonlySet<string> }): Promise<void>;
}

export type JournalEvent = { readonly sequence: number };

export type JournalClass = {
  readonly name: string;
  readonly kinds: readonly string[];
  /** What may leave the store of it; absent: no limit of its own. */
  readonly budget?: ByteAllowance;
  /** Goes though the budget of all is used up. */
  readonly isUrgent?: boolean;
};

/** The store's journal, as much of it as sending needs. */
export interface JournalPort {
  /** Classes of kinds, most important first. What is of no class is never sent, and trimmed with the others. */
  readonly classes: readonly JournalClass[];
  /** What may leave the store of all classes together; absent: no limit. */
  readonly budget?: ByteAllowance;
  /** Up to here everything was at the hub when it was trimmed last: where sending goes on. Absent: from the beginning. */
  readonly trimmedThrough?: number;
  /** The oldest events after a sequence, of these kinds. */
  read(query: {
    readonly after: number;
    readonly kinds: readonly string[];
    readonly limit: number;
  }): Promise<readonly JournalEvent[]>;
  /** Everything up to here is at the hub. */
  trim(through: number): Promise<void>;
  /** Calls when something was appended; absent: the agent looks every few seconds. */
  subscribe?(listener: () => void): Disposable;
}

/** The machine's own line. */
export interface Line {
  /**
   * Calls when it is there again: what hangs on the old one is dialled anew at once, without the rest of a back-off. `goneMs`:
   * when it was last seen gone, on the monotonic clock; what came since then came over the new one.
   */
  subscribe(cameBack: (goneMs: number) => void): Disposable;
}

export type AgentPorts = {
  /** Of the cluster that is served: any Kubernetes. */
  readonly client: Client;
  /** The same cluster with the rights of a ServiceAccount; absent: a bundle that names one is refused. */
  readonly asServiceAccount?: (account: { readonly namespace: string; readonly name: string }) => Client;
  readonly hub: HubDoor;
  readonly keys: Keys;
  readonly chunks: ChunkStore;
  readonly journal?: JournalPort;
  /** Absent: a broken connection is found by silence, and tried again by the back-off alone. */
  readonly line?: Line;
  /** Serves the cluster's API over a stream of the hub; absent: the hub's streams are closed at once. */
  readonly serveStream?: (stream: Connection) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
};

/** What an agent knows of itself, for health checks and pages of the store. */
export type AgentState = {
  readonly cluster: { readonly namespace: string; readonly name: string } | undefined;
  readonly isConnected: boolean;
  /** Of the last `desired` that is on the store's disk. */
  readonly revision: number;
  readonly bundles: readonly BundleReport[];
  /** Why there is no connection; empty when there is one. */
  readonly message: string;
};

/** A running agent; disposing it stops it and changes nothing of what it has applied. */
export interface Agent extends AsyncDisposable {
  readonly state: AgentState;
}
