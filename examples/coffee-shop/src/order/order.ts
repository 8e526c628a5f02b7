import { callService } from "../service/call.ts";
import { Refusal, serve, type Answer, type Call } from "../service/http.ts";
import { currency, menu } from "./menu.ts";
import { Orders, stages, type Order, type Stage } from "./orders.ts";
import { baristaPage, kioskPage } from "./pages.ts";
import { parseOrder, type OrderRequest } from "./request.ts";

const env = process.env;
const paymentUrl = env["PAYMENT_URL"] ?? "http://payment:8080";
const inventoryUrl = env["INVENTORY_URL"] ?? "http://inventory:8080";
const telemetryUrl = env["TELEMETRY_URL"] ?? "http://telemetry.cortado-system:8081";
const orders = new Orders({
  path: env["DATABASE"] ?? "/data/orders.db",
  store: env["STORE"] ?? "store",
  targets: { inventory: `${inventoryUrl}/deltas`, telemetry: `${telemetryUrl}/telemetry/v1/events` },
});

/** Payments under way by order id: a client that asks twice at once waits for the first answer. */
const underWay = new Map<string, Promise<Answer>>();

async function place({ body }: Call): Promise<Answer> {
  const request = parseOrder(body);
  const order = orders.open(request);
  if (order.payment.state !== "new") return { status: 200, body: order };
  const running = underWay.get(order.id);
  if (running !== undefined) {
    const first = await running;
    return first.status === 201 ? { ...first, status: 200 } : first;
  }
  const paying = pay(request, order).finally(() => underWay.delete(order.id));
  underWay.set(order.id, paying);
  return paying;
}

async function pay(request: OrderRequest, order: Order): Promise<Answer> {
  const body = { id: order.id, amountCents: order.totalCents, currency, ...request.payment };
  const reply = await callService(`${paymentUrl}/payments`, { method: "POST", body, timeoutMs: 8_000 }).catch(
    () => undefined,
  );
  if (reply === undefined)
    throw new Refusal(503, "payments do not answer; the order is not placed, send it again with the same id");
  const { state, error } = reply.body as { state?: string; error?: string };
  if (reply.status === 402) throw new Refusal(402, error ?? "the payment was declined");
  if (reply.status >= 300 || (state !== "paid" && state !== "stored"))
    throw new Refusal(
      503,
      error ?? "payments failed; the order is not placed, send it again with the same id",
    );
  return { status: 201, body: orders.accept(order.id, state) };
}

function advance({ params, body }: Call): Answer {
  const { state } = (body ?? {}) as { state?: string };
  if (!stages.includes(state as Stage))
    throw new Refusal(422, `state: one of ${stages.join(", ")} is needed`);
  return { status: 200, body: orders.advance(params["id"] ?? "", state as Stage) };
}

function settle({ body }: Call): Answer {
  for (const { order, state } of body as { order: string; state: "paid" | "owed" }[])
    orders.settle(order, state);
  return { status: 200, body: {} };
}

function find({ params }: Call): Answer {
  const order = orders.get(params["id"] ?? "");
  if (order === undefined) throw new Refusal(404, `there is no order ${params["id"]}`);
  return { status: 200, body: order };
}

/** Does the shop sell? Everything that an order needs answers. */
async function health(): Promise<Answer> {
  orders.check();
  const urls = [`${paymentUrl}/livez`, `${inventoryUrl}/livez`];
  const replies = await Promise.all(
    urls.map((url) => callService(url, { method: "GET", timeoutMs: 1_500 }).catch(() => undefined)),
  );
  const away = urls.filter((_url, at) => replies[at]?.status !== 200);
  return away.length === 0
    ? { status: 200, body: { status: "selling" } }
    : { status: 503, body: { status: "not selling", away } };
}

serve("order", {
  port: 8080,
  routes: [
    { method: "POST", path: "/api/orders", handle: place },
    { method: "GET", path: "/api/orders/:id", handle: find },
    { method: "POST", path: "/api/orders/:id/state", handle: advance },
    { method: "GET", path: "/api/queue", handle: () => ({ status: 200, body: { orders: orders.queue() } }) },
    { method: "GET", path: "/api/menu", handle: () => ({ status: 200, body: { currency, items: menu } }) },
    { method: "POST", path: "/settlements", handle: settle },
    {
      method: "GET",
      path: "/",
      handle: () => ({ status: 200, body: kioskPage, type: "text/html; charset=utf-8" }),
    },
    {
      method: "GET",
      path: "/barista",
      handle: () => ({ status: 200, body: baristaPage, type: "text/html; charset=utf-8" }),
    },
    { method: "GET", path: "/healthz", handle: health },
    { method: "GET", path: "/livez", handle: () => ({ status: 200, body: {} }) },
  ],
});
