/**
 * What a store's agent and the hub say to each other, over one connection that the agent opened: JSON objects, one to a message, and
 * binary messages that begin with one byte for their kind (`frames.ts`): 1 = chunk (32 bytes SHA-256, gzip), 2 = data of a stream (4 bytes
 * of its number, big-endian, then bytes), 3 = beat (nothing more; answered by the same). Version 1.
 *
 *   agent                                   hub
 *   hello (who, what it has, after N)  ─▶
 *                                      ◀─  welcome (session, when to come back)
 *                                      ◀─  desired (what changed after N), with the chunks that it lacks as far as they fit
 *                                      ◀─  needs (what of its own the store is to tell), before desired
 *   values (one of them), also later   ─▶
 *   want (chunks)                      ─▶
 *                                      ◀─  chunk …
 *   status (what became of it)         ─▶
 *                                      ◀─  statusAck, once it is on the hub's disk
 *   events (of the journal)            ─▶
 *                                      ◀─  eventsAck, once they are on the hub's disk
 */

export const PROTOCOL = 1;

/** What an agent may understand beside the first release of version 1: `Desired.kept`, and `Needs`. */
export type Knowledge = "kept" | "values";

/** The first message. */
export type Hello = {
  readonly type: "hello";
  readonly protocol: number;
  /**
   * What the last welcome gave; empty the first time. One that is out of date shows a copied store; the word before the last is taken
   * for as long as the last was never used, as a store may lose its power between a welcome and its disk.
   */
  readonly session: string;
  /** The revision of the last `desired` that is on the store's disk; 0: tell all. */
  readonly after: number;
  /** Deployment ids that are applied, by bundle: the hub sends chunks as deltas against these. */
  readonly has: Readonly<Record<string, string>>;
  readonly versions: { readonly agent: string; readonly kubernetes: string };
  readonly knows?: readonly Knowledge[];
};

export type Welcome = {
  readonly type: "welcome";
  /** To be on the store's disk before the agent says anything else. */
  readonly session: string;
  readonly cluster: { readonly namespace: string; readonly name: string };
  /** How often the agent must be heard while it is connected, in milliseconds. */
  readonly heartbeatMs: number;
};

/** One object to be applied, by the SHA-256 of its canonical JSON (keys sorted, no blanks); lower-case hex. */
export type ChunkRef = { readonly sha256: string; readonly bytes: number };

/** What an agent has to know of the options of a bundle (fleet.md 1.3); what only shapes the content stays at the hub. */
export type DeployOptions = {
  readonly defaultNamespace?: string;
  readonly namespace?: string;
  readonly serviceAccount?: string;
  readonly keepResources?: boolean;
  readonly deleteNamespace?: boolean;
  readonly deleteCRDResources?: boolean;
  readonly takeOwnership?: boolean;
  readonly correctDrift?: {
    readonly enabled?: boolean;
    readonly force?: boolean;
    readonly keepFailHistory?: boolean;
  };
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  readonly namespaceAnnotations?: Readonly<Record<string, string>>;
  readonly diff?: { readonly comparePatches?: readonly ComparePatch[] };
  readonly ignore?: { readonly conditions?: readonly Readonly<Record<string, string>>[] };
  /** How long a store of an open wave may take until the bundle is Ready; heeded by the hub. */
  readonly timeoutSeconds?: number;
  /** Jobs have to be complete. */
  readonly waitForJobs?: boolean;
  /** What cannot be patched is deleted and made anew. */
  readonly force?: boolean;
  /** False: the namespace has to be there (Policy). */
  readonly createNamespace?: false;
  /** The namespace has to have such labels (GitRepoRestriction). */
  readonly allowedTargetNamespaceSelector?: LabelSelector;
};

export type LabelSelector = {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
};

export type ComparePatch = {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly jsonPointers?: readonly string[];
  readonly operations?: readonly { readonly op: string; readonly path?: string; readonly value?: unknown }[];
};

export type DependsOn = {
  readonly name?: string;
  readonly selector?: LabelSelector;
  readonly acceptedStates?: readonly BundleState[];
};

export type DesiredBundle = {
  readonly name: string;
  /** Namespace of the Bundle at the hub. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `MANIFEST:OPTIONS`, as BundleDeployment.spec.deploymentID. */
  readonly deploymentId: string;
  readonly options: DeployOptions;
  readonly dependsOn: readonly DependsOn[];
  readonly paused: boolean;
  /** In the order of the bundle; the agent sorts by kind. */
  readonly chunks: readonly ChunkRef[];
  /** Counts up when the same id is to be applied again. */
  readonly forceSyncGeneration: number;
  /** Bundles whose objects it takes over: none of them is deleted on the way. */
  readonly replaces?: readonly string[];
};

export type Desired = {
  readonly type: "desired";
  /** True for this revision. */
  readonly revision: number;
  /** Every bundle of the store is named; what it has beside them, and beside `kept`, is gone. */
  readonly full: boolean;
  /** Bundles of the store that cannot be told now: they stay as they are. Only to an agent that knows of it. */
  readonly kept?: readonly string[];
  readonly bundles: readonly DesiredBundle[];
  /** Bundles that are no longer for this store. `keepResources`: what they own stays. */
  readonly gone: readonly { readonly name: string; readonly keepResources: boolean }[];
};

/** One key of a ConfigMap or Secret of the store, whose text is values of a bundle (helm.valuesFrom). */
export type ValuesNeed = {
  readonly kind: "ConfigMap" | "Secret";
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
  /** ServiceAccount of the agent's namespace that has to have the right to read it. */
  readonly account?: string;
};

/** All that the store is to read and to tell of itself, now and whenever it changes; it is told again when it is another. */
export type Needs = { readonly type: "needs"; readonly values: readonly ValuesNeed[] };
/** What the store has: a text, or why there is none. */
export type Values = {
  readonly type: "values";
  readonly need: ValuesNeed;
  readonly text?: string;
  readonly problem?: string;
};

/** Fleet's states (fleet.md 3.4). */
export type BundleState =
  | "Ready"
  | "NotReady"
  | "Pending"
  | "OutOfSync"
  | "Modified"
  | "WaitApplied"
  | "ErrApplied";

export type ResourceReport = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly state: "Ready" | "NotReady" | "Modified" | "Missing" | "Orphaned" | "Unknown" | "WaitApplied";
  readonly message?: string;
  /** JSON merge patch between what is wanted and what is there, of a Modified one. */
  readonly patch?: string;
};

export type BundleReport = {
  readonly name: string;
  /** What was last applied completely; empty: nothing yet. */
  readonly appliedId: string;
  /** What the agent works on: the same when done. */
  readonly wantedId: string;
  readonly state: BundleState;
  /** Why it is not Ready. */
  readonly message: string;
  readonly counts: {
    readonly desired: number;
    readonly ready: number;
    readonly notReady: number;
    readonly modified: number;
    readonly missing: number;
  };
  /** At most ten that are not Ready. */
  readonly resources: readonly ResourceReport[];
};

export type Status = {
  readonly type: "status";
  /** Grows for as long as the store lives, across its restarts; one that is not greater than the last is refused. */
  readonly sequence: number;
  /** Those that changed. */
  readonly bundles: readonly BundleReport[];
};

export type StatusAck = { readonly type: "statusAck"; readonly sequence: number };
export type Want = { readonly type: "want"; readonly chunks: readonly string[] };
/** Each chunk follows as one binary message of kind 1; this instead of one that the hub does not have or may not give. */
export type NoChunk = { readonly type: "noChunk"; readonly sha256: string; readonly message: string };

/** Events of the journal, oldest first; each has the sequence of the store's journal. */
export type Events = { readonly type: "events"; readonly events: readonly unknown[] };
export type EventsAck = { readonly type: "eventsAck"; readonly through: number };

/** Come back in so long; the hub closes after it. */
export type Sleep = { readonly type: "sleep"; readonly ms: number };
/** Why the hub closes: the reason is a Status reason ("Forbidden", "Unauthorized", "Conflict", …). */
export type Refusal = { readonly type: "refusal"; readonly reason: string; readonly message: string };

/**
 * A stream that the hub opens into the store's API: its bytes are HTTP/1.1, in binary messages of kind 2. Who asks is said in each
 * request by Impersonate-User and Impersonate-Group, which the hub sets, whatever its caller wrote.
 */
export type OpenStream = { readonly type: "open"; readonly stream: number };
export type CloseStream = { readonly type: "close"; readonly stream: number };
/** So many bytes more of a stream may be sent, beside the window that each begins with (`streams.ts`). */
export type GrantStream = { readonly type: "grant"; readonly stream: number; readonly bytes: number };

export type FromAgent =
  | Hello
  | Status
  | Want
  | Values
  | Events
  | CloseStream
  | GrantStream
  | { readonly type: "ping" };
export type FromHub =
  | Welcome
  | Needs
  | Desired
  | StatusAck
  | EventsAck
  | NoChunk
  | Sleep
  | Refusal
  | OpenStream
  | CloseStream
  | GrantStream
  | { readonly type: "pong" };

/** One connection, as either end holds it. Over WebSocket in the world, in memory in the simulator. */
export interface Link<In, Out> extends AsyncDisposable {
  /** Resolves when the transport took it; a full transport makes the sender wait. @throws StatusError "ServiceUnavailable" when it is closed */
  send(message: Out): Promise<void>;
  /** `isPatient`: resolves only when little waits before them, so that messages that come later are not held up. */
  sendBytes(bytes: Uint8Array, options?: { readonly isPatient?: boolean }): Promise<void>;
  /** Bytes that came, those of a message that is not whole yet too: a large one on a slow line takes a minute. Absent: not known. */
  readonly heardBytes?: number;
  /** Ends when the connection does. One reader. */
  messages(): AsyncIterable<In | Uint8Array>;
}

export type AgentLink = Link<FromHub, FromAgent>;
export type HubLink = Link<FromAgent, FromHub>;

/** `POST /fleet/v1/register`, before there is a link. */
export type RegisterRequest = {
  /** The secret of a ClusterRegistrationToken. */
  readonly token: string;
  /** As Fleet's: given, or the uid of kube-system. The same id and key get the same Cluster. */
  readonly clientId: string;
  /** Name of the Cluster that is wanted; absent: made from the id. */
  readonly name?: string;
  readonly labels: Readonly<Record<string, string>>;
  /** PEM (SPKI) of the store's own key, P-256. */
  readonly publicKey: string;
  /** Base64 of the key's signature over `register\n${clientId}\n${SHA-256 hex of token}`. */
  readonly proof: string;
};

export type RegisterAnswer = {
  readonly cluster: { readonly namespace: string; readonly name: string };
  /** PEM: for mutual TLS on `/fleet/v1/connect`. */
  readonly certificate: string;
};

/** `POST /fleet/v1/renew`: the only door that an expired certificate opens, and it wants proof of the key. */
export type RenewRequest = {
  readonly cluster: { readonly namespace: string; readonly name: string };
  /** From `GET /fleet/v1/challenge`. */
  readonly challenge: string;
  /** Base64 of the key's signature over `renew\n${namespace}/${name}\n${challenge}`. */
  readonly proof: string;
};
