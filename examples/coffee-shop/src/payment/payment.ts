import { log, Refusal, serve, type Answer, type Call } from "../service/http.ts";
import { fakeAcquirer, type Acquirer, type Charge, type ChargeResult } from "./acquirer.ts";
import { stripeAcquirer } from "./stripe.ts";
import { Vault } from "./vault.ts";

const env = process.env;
const vault = new Vault({
  path: env["DATABASE"] ?? "/data/payments.db",
  caps: {
    perPaymentCents: Number(env["OFFLINE_PAYMENT_CENTS"] ?? 10_000),
    storedCents: Number(env["OFFLINE_STORED_CENTS"] ?? 50_000),
  },
  orderUrl: env["ORDER_URL"] ?? "http://order:8080",
});
const acquirer: Acquirer =
  env["ACQUIRER"] === "stripe"
    ? stripeAcquirer(env["STRIPE_KEY"] ?? "")
    : fakeAcquirer(env["ACQUIRER_URL"] ?? "http://100.64.0.1:9090");

/** After a line was found dead, tills do not wait for it again until the forwarder has reached somebody. */
let lineIsUp = true;
/** How often the forwarder tries a dead line. */
const RETRY_MS = 2_000;

async function pay({ body }: Call): Promise<Answer> {
  const { method, ...charge } = parse(body);
  const payment = vault.open(charge, method);
  if (payment.amountCents !== charge.amountCents)
    throw new Refusal(409, `payment ${payment.id} is known with another amount`);
  if (payment.state === "paid" || payment.state === "stored") return { status: 200, body: payment };
  if (payment.state === "owed") return { status: 200, body: { ...payment, state: "paid" } };
  if (method === "cash") return finish(charge, { kind: "approved" });
  if (payment.state === "declined")
    throw new Refusal(402, "the card was declined; use another one or pay in cash");
  return finish(charge, lineIsUp ? await acquirer.charge(charge) : { kind: "unreachable" });
}

function finish(charge: Charge, result: ChargeResult): Answer {
  const { reference } = charge;
  if (result.kind === "approved") vault.mark(reference, "paid");
  else if (result.kind === "declined") {
    vault.mark(reference, "declined");
    throw new Refusal(402, `the card was declined: ${result.reason}`);
  } else {
    lineIsUp = false;
    const stored = vault.store(charge);
    if (!stored.stored) throw new Refusal(402, stored.why);
  }
  return { status: 201, body: vault.get(reference) };
}

function parse(body: unknown): Charge & { readonly method: string } {
  const { id, amountCents, currency, method, token = "" } = (body ?? {}) as Record<string, unknown>;
  if (
    typeof id !== "string" ||
    typeof amountCents !== "number" ||
    typeof currency !== "string" ||
    typeof method !== "string"
  )
    throw new Refusal(422, "id, amountCents, currency and method are needed");
  return { reference: id, amountCents, currency, method, token: String(token) };
}

/** Forwards stored payments for ever: looks up first, as an answer may have been lost, and charges only what is not known. */
async function forward(): Promise<never> {
  for (;;) {
    const charge = vault.nextStored();
    const outcome = charge === undefined ? await probe() : await forwardOne(charge);
    if (outcome === "line is down" || charge === undefined)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function forwardOne(charge: Charge): Promise<"forwarded" | "line is down"> {
  const known = await acquirer.lookUp(charge.reference);
  const result = known.kind === "unknown" ? await acquirer.charge(charge) : known;
  if (result.kind === "unreachable") return "line is down";
  lineIsUp = true;
  vault.settle(charge.reference, result.kind === "approved" ? "paid" : "owed");
  log("payment", "stored payment forwarded", { payment: charge.reference, result: result.kind });
  return "forwarded";
}

/** With nothing to forward, a dead line is asked for something that nobody knows. */
async function probe(): Promise<"forwarded" | "line is down"> {
  if (lineIsUp) return "forwarded";
  const answer = await acquirer.lookUp("00000000-0000-0000-0000-000000000000");
  lineIsUp = answer.kind !== "unreachable";
  return lineIsUp ? "forwarded" : "line is down";
}

serve("payment", {
  port: 8080,
  routes: [
    { method: "POST", path: "/payments", handle: pay },
    { method: "GET", path: "/payments/:id", handle: ({ params }) => found(vault.get(params["id"] ?? "")) },
    {
      method: "GET",
      path: "/exposure",
      handle: () => ({ status: 200, body: { lineIsUp, ...vault.exposure() } }),
    },
    { method: "GET", path: "/livez", handle: () => ({ status: 200, body: {} }) },
  ],
});
void forward();

function found(payment: unknown): Answer {
  if (payment === undefined) throw new Refusal(404, "there is no such payment");
  return { status: 200, body: payment };
}
