import assert from "node:assert/strict";
import { after, test } from "node:test";
import { call, DemoWorld, until, whyNoBoxes } from "../end-to-end/demo-world.ts";
import { DemoLoad } from "./demo-load.ts";

/** Kills of our process, and as many power cuts of the box; CI takes few, a release twenty. */
const rounds = Number(process.env["CHAOS_ROUNDS"] ?? 3);
const missing = await whyNoBoxes();
const world = new DemoWorld();
const load = new DemoLoad(world);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Stock = { readonly items: readonly { readonly sku: string; readonly quantity: number }[] };
const milk = async (): Promise<number> => {
  const { items } = (await call(`${world.store.shop}/api/stock`)).json() as unknown as Partial<Stock>;
  return items?.find(({ sku }) => sku === "milk")?.quantity ?? Number.NaN;
};
const startMs = performance.now();
/** Says how far a long run is. */
const say = (what: string): void =>
  console.log(
    `${((performance.now() - startMs) / 1_000).toFixed(1)} s: ${what}; ${load.orders.size} orders, ${load.messages.acknowledged.size} messages`,
  );
const containers = (): Promise<string> =>
  world.mustKubectl(
    "get",
    "pods",
    "-n",
    "coffee-shop",
    "-o",
    'jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[*].containerID}{"\\n"}{end}',
  );

after(async () => {
  await load.end();
  await world.end();
});

test(
  `${rounds} kills and ${rounds} power cuts under load lose and double nothing`,
  { skip: missing ?? false, timeout: 240_000 + rounds * 60_000 },
  async () => {
    await world.start();
    const milkBefore = await milk();
    await load.start();
    say("load begins");
    await sleep(2_000);
    let survivors = 0;
    for (let round = 0; round < rounds; round += 1) {
      const before = await containers();
      await world.demo("kill");
      await sleep((round % 4) * 300);
      await boot();
      assert.equal(await containers(), before, "containers outlive a kill");
      survivors += 1;
      await sells();
      say(`kill ${round + 1} survived`);
      await world.demo("cut-power");
      await sleep((round % 3) * 300);
      await boot();
      await sells();
      say(`power cut ${round + 1} survived`);
    }
    await sleep(2_000);
    say("all faults are over");
    await load.finish();
    say("everybody is done");
    await checkOrders(milkBefore);
    await checkMessages();
    const lostWrites = await load.lostWrites();
    assert.deepEqual(lostWrites, []);
    const { writes, warnings, messages } = load;
    const updates = [...writes.rewritten.values()].reduce((sum, { least }) => sum + least, 0);
    console.log(
      `${rounds} kills (containers outlived ${survivors}) and ${rounds} power cuts: 0 lost and 0 doubled of ${load.orders.size} orders (${load.retries} tries again), ` +
        `${warnings.acknowledged.size} alerts (${warnings.unknown} publishes without an answer), ${writes.created.size + updates} API writes; 0 lost of ` +
        `${messages.acknowledged.size} messages (${[...load.received.values()].filter((times) => times > 1).length} came again)`,
    );
  },
);

async function boot(): Promise<void> {
  await world
    .demo("boot")
    .catch((error: unknown) => assert.fail(`${String(error)}\nthe demo said: ${world.said.slice(-2_000)}`));
}

/** The store serves, and takes a while of load, before it is hit again. */
async function sells(): Promise<void> {
  const before = load.orders.size;
  await until("orders to be taken again", () => load.orders.size > before + 10, 60_000);
  await sleep(500);
}

async function checkOrders(milkBefore: number): Promise<void> {
  for (const id of load.orders)
    assert.equal((await call(`${world.store.shop}/api/orders/${id}`)).status, 200, `order ${id} is gone`);
  // Each latte takes 200 ml: an order that was counted twice, or not at all, shows here.
  const wanted = milkBefore - load.orders.size * 200;
  await until("the stock to be what the orders say", async () => (await milk()) <= wanted, 90_000);
  await sleep(1_000);
  assert.equal(await milk(), wanted, `${load.orders.size} orders took ${milkBefore - (await milk())} ml`);
}

async function checkMessages(): Promise<void> {
  const { messages, warnings } = load;
  const missingMessages = (): number[] =>
    [...messages.acknowledged].filter((number) => !load.received.has(number));
  await until("all acknowledged messages", () => missingMessages().length === 0, 30_000).catch(
    () => undefined,
  );
  assert.deepEqual(missingMessages(), [], "acknowledged messages that never came");
  const missingAlerts = async (): Promise<number[]> => {
    const found = await load.alerts();
    return [...warnings.acknowledged].filter((number) => !found.has(number));
  };
  await until("all alerts", async () => (await missingAlerts()).length === 0, 60_000).catch(() => undefined);
  assert.deepEqual(await missingAlerts(), [], "acknowledged warnings without an alert");
  const doubled = [...(await load.alerts())].filter(([, times]) => times > 1);
  assert.deepEqual(doubled, [], "warnings with two alerts");
}
