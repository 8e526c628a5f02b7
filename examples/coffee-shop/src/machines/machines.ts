import { connect } from "mqtt";
import { log } from "../service/http.ts";

const env = process.env;
const store = env["STORE"] ?? "store";
const everyMs = Number(env["EVERY_MS"] ?? 30_000);
const broker = connect(env["MQTT_URL"] ?? "mqtt://mqtt.cortado-system:1883", {
  clientId: `machines-${store}`,
  reconnectPeriod: 2_000,
  will: { topic: `/${store}/machines/state`, payload: Buffer.from("offline"), qos: 1, retain: true },
});
let cycles = 0;
let hours = 0;

/** Normal readings only: a fridge between 36 and 40 °F, an espresso machine and a grinder that work now and then. */
function tick(): void {
  const temp = Math.round((38 + 2 * Math.sin(Date.now() / 600_000) + (Math.random() - 0.5)) * 10) / 10;
  broker.publish(`/${store}/fridge/temp`, JSON.stringify({ temp, unit: "F" }), { qos: 1 });
  if (Math.random() < 0.5) return;
  cycles += 1;
  hours += 0.01;
  broker.publish(`/${store}/espresso/cycles`, JSON.stringify({ cycles }), { qos: 1 });
  broker.publish(`/${store}/grinder/hours`, JSON.stringify({ hours: Math.round(hours * 100) / 100 }), {
    qos: 1,
  });
}

broker.on("connect", () => broker.publish(`/${store}/machines/state`, "online", { qos: 1, retain: true }));
broker.on("error", (error) => log("machines", "broker", { error: error.message }));
setInterval(tick, everyMs);
log("machines", "started", { store, everyMs });
process.on("SIGTERM", () => process.exit(0));
