import { callService } from "../service/call.ts";

export type Charge = {
  readonly reference: string;
  readonly amountCents: number;
  readonly currency: string;
  readonly token: string;
};

export type ChargeResult =
  | { readonly kind: "approved" }
  | { readonly kind: "declined"; readonly reason: string }
  /** Nobody answered, or not in time: whether money moved is not known. */
  | { readonly kind: "unreachable" };

/** What a payment provider must be able to do; one adapter per provider. */
export interface Acquirer {
  /** Charges once per reference, however often it is asked. */
  charge(charge: Charge): Promise<ChargeResult>;
  /** What became of a reference: providers forget idempotency keys after a day, so a late retry looks first. */
  lookUp(reference: string): Promise<ChargeResult | { readonly kind: "unknown" }>;
}

/** A till waits no longer than this for the line; then the payment is stored. */
const ANSWER_MS_MAX = 1_500;

/** The acquirer of the demo, which lives in the wide area and moves no money. */
export function fakeAcquirer(url: string): Acquirer {
  return {
    async charge(charge) {
      const reply = await callService(`${url}/charges`, {
        method: "POST",
        body: charge,
        timeoutMs: ANSWER_MS_MAX,
      }).catch(() => undefined);
      return toResult(reply);
    },
    async lookUp(reference) {
      const path = `${url}/charges/${encodeURIComponent(reference)}`;
      const reply = await callService(path, { method: "GET", timeoutMs: ANSWER_MS_MAX }).catch(
        () => undefined,
      );
      return reply?.status === 404 ? { kind: "unknown" } : toResult(reply);
    },
  };
}

function toResult(reply: { readonly status: number; readonly body: unknown } | undefined): ChargeResult {
  if (reply === undefined || reply.status >= 500) return { kind: "unreachable" };
  const { approved, reason } = reply.body as { approved?: boolean; reason?: string };
  return approved === true ? { kind: "approved" } : { kind: "declined", reason: reason ?? "declined" };
}
