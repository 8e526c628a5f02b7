import { connect } from "mqtt";
import { log, Refusal, serve, type Answer, type Call } from "../service/http.ts";
import { Stock, type Change, type Sale } from "./stock.ts";

const env = process.env;
const store = env["STORE"] ?? "store";
const telemetryUrl = `${env["TELEMETRY_URL"] ?? "http://telemetry.cortado-system:8081"}/telemetry/v1/events`;
const stock = new Stock({ path: env["DATABASE"] ?? "/data/inventory.db", store, telemetryUrl });
const broker = connect(env["MQTT_URL"] ?? "mqtt://mqtt.cortado-system:1883", {
  clientId: `inventory-${store}`,
  reconnectPeriod: 2_000,
});
broker.on("error", (error) => log("inventory", "broker", { error: error.message }));

/** Tells who listens how much is left of what changed, and below which amount it is low. */
function publish(changes: readonly Change[]): void {
  for (const change of changes)
    broker.publish(`/${store}/inventory/stock`, JSON.stringify(change), { qos: 1 });
}

/** A watcher outside found something low: it is ordered again, unless that was done already. */
function orderAgain({ body }: Call): Answer {
  const { item } = (body ?? {}) as { item?: unknown };
  if (typeof item !== "string" || !stock.items().some(({ sku }) => sku === item))
    throw new Refusal(404, `there is no ingredient ${String(item)}`);
  stock.checkAgain(item);
  log("inventory", "low stock was told", { item });
  return { status: 200, body: {} };
}

function sell({ body }: Call): Answer {
  if (!Array.isArray(body)) throw new Refusal(422, "a list of sales is needed");
  publish(stock.sell(body as Sale[]));
  return { status: 200, body: {} };
}

function deliver({ body }: Call): Answer {
  const { id, sku, quantity } = (body ?? {}) as { id?: unknown; sku?: unknown; quantity?: unknown };
  if (
    typeof id !== "string" ||
    typeof sku !== "string" ||
    typeof quantity !== "number" ||
    !Number.isInteger(quantity)
  )
    throw new Refusal(422, "id, sku and a whole quantity are needed");
  if (!stock.items().some((item) => item.sku === sku))
    throw new Refusal(404, `there is no ingredient ${sku}`);
  publish(stock.add(id, { sku, quantity }));
  return { status: 200, body: { items: stock.items() } };
}

serve("inventory", {
  port: 8080,
  routes: [
    { method: "GET", path: "/api/stock", handle: () => ({ status: 200, body: { items: stock.items() } }) },
    { method: "POST", path: "/api/stock/deliveries", handle: deliver },
    { method: "POST", path: "/deltas", handle: sell },
    { method: "POST", path: "/events/low-stock", handle: orderAgain },
    { method: "GET", path: "/livez", handle: () => ({ status: 200, body: {} }) },
  ],
});
