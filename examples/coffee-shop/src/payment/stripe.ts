import type { Acquirer, Charge, ChargeResult } from "./acquirer.ts";

/**
 * Charges through Stripe (docs.stripe.com/api/payment_intents). Set ACQUIRER=stripe and STRIPE_KEY from a Secret. The token is a
 * PaymentMethod id ("pm_…"); our order id is both the idempotency key and metadata that `lookUp` searches by, as Stripe may drop
 * keys after 24 hours.
 */
export function stripeAcquirer(secretKey: string): Acquirer {
  const call = async (
    path: string,
    form?: Record<string, string>,
    idempotencyKey?: string,
  ): Promise<ChargeResult | StripeObject> => {
    try {
      const response = await fetch(`https://api.stripe.com/v1/${path}`, {
        method: form === undefined ? "GET" : "POST",
        headers: {
          authorization: `Bearer ${secretKey}`,
          ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
        },
        ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
        signal: AbortSignal.timeout(5_000),
      });
      const body = (await response.json()) as StripeObject;
      if (response.status === 402)
        return { kind: "declined", reason: body.error?.decline_code ?? body.error?.code ?? "declined" };
      // 409 and 429 mean "again later", as a broken line does.
      return response.ok ? body : { kind: "unreachable" };
    } catch {
      return { kind: "unreachable" };
    }
  };
  return {
    async charge(charge: Charge) {
      const form = {
        amount: String(charge.amountCents),
        currency: charge.currency.toLowerCase(),
        payment_method: charge.token,
        confirm: "true",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        "metadata[order]": charge.reference,
      };
      return toResult(await call("payment_intents", form, charge.reference));
    },
    async lookUp(reference) {
      const query = encodeURIComponent(`metadata["order"]:"${reference}"`);
      const found = await call(`payment_intents/search?query=${query}`);
      if ("kind" in found) return found;
      const intent = found.data?.[0];
      return intent === undefined ? { kind: "unknown" } : toResult(intent);
    },
  };
}

type StripeObject = {
  readonly status?: string;
  readonly data?: readonly StripeObject[];
  readonly error?: { readonly code?: string; readonly decline_code?: string };
};

function toResult(answer: ChargeResult | StripeObject): ChargeResult {
  if ("kind" in answer) return answer;
  return answer.status === "succeeded"
    ? { kind: "approved" }
    : { kind: "declined", reason: answer.status ?? "declined" };
}
