import type { HubPorts } from "./ports.ts";

/** What somebody tried and was refused: one line in the hub's log each, to be found by `"message":"audit"`. */
export type AuditEvent =
  | "registration refused"
  | "renewal refused"
  | "connection refused"
  | "content refused";

export function audit(
  { log }: Pick<HubPorts, "log">,
  event: AuditEvent,
  about: {
    /** `NAMESPACE/NAME`, as the other side says; empty: it said none. */
    readonly cluster: string;
    readonly remote?: string;
    readonly reason: string;
    readonly why: string;
  },
): void {
  log.warn("audit", { event, ...about });
}
