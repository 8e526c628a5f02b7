import type { Log } from "@cortado/std/log";

/** What somebody tried and was refused: one line in the hub's log each, to be found by `"message":"audit"`. */
export type AuditEvent =
  | "registration refused"
  | "renewal refused"
  | "connection refused"
  | "content refused";

/** What somebody did or tried, for a trail beside the log. */
export type AuditEntry = {
  /** A user of the hub, or `store:NAMESPACE/NAME` as the other side says; empty: it said none. */
  readonly user: string;
  readonly groups: readonly string[];
  readonly verb: string;
  /** Path without its query: what is written there (a command, a selector) may be a secret. */
  readonly path: string;
  /** Address of who asked; empty: unknown. */
  readonly remote: string;
  /** `NAMESPACE/NAME` of the store; empty: none was named. */
  readonly store: string;
  /** HTTP status of the answer; 0: there was no answer to give. */
  readonly code: number;
  /** Of Kubernetes' status, when it was refused. */
  readonly reason?: string;
  readonly message?: string;
  readonly event: AuditEvent | "store access";
  readonly tookMs?: number;
};

/** Takes entries at once; what cannot be kept is the keeper's to tell. */
export type AuditTrail = (entry: AuditEntry) => void;

export type AuditPorts = { readonly log: Log; readonly audit?: AuditTrail };

const doors: Readonly<Record<AuditEvent, string>> = {
  "registration refused": "/fleet/v1/register",
  "renewal refused": "/fleet/v1/renew",
  "connection refused": "/fleet/v1/connect",
  "content refused": "/fleet/v1/connect",
};

export function audit(
  { log, audit: trail }: AuditPorts,
  event: AuditEvent,
  about: {
    /** `NAMESPACE/NAME`, as the other side says; empty: it said none. */
    readonly cluster: string;
    readonly remote?: string;
    readonly reason: string;
    readonly code: number;
    readonly why: string;
  },
): void {
  const { code, ...told } = about;
  log.warn("audit", { event, ...told });
  const { cluster, remote = "", reason, why: message } = about;
  const user = cluster === "" ? "" : `store:${cluster}`;
  const door = { verb: "create", path: doors[event], remote };
  trail?.({ user, groups: [], ...door, store: cluster, code, reason, message, event });
}
