import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import { call, DemoWorld, whyNoBoxes } from "./demo-world.ts";

// The kiosk and the barista's page in Debian's Chromium, against a running shop.
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  (path) => existsSync(path),
);
const missing =
  (await whyNoBoxes()) ??
  (executablePath === undefined ? "needs Chromium: apt-get install chromium" : undefined);
const skip = missing ?? false;
const world = new DemoWorld();
let browser: Browser;

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

before(async () => {
  if (missing !== undefined || executablePath === undefined) return;
  await world.start();
  browser = await chromium.launch({ executablePath, args: flags });
});
after(async () => {
  await browser?.close();
  await world.end();
});

type Opened = {
  readonly page: Page;
  readonly faults: readonly string[];
  readonly sentIds: readonly string[];
};

async function open(path: string): Promise<Opened> {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  const faults: string[] = [];
  const sentIds: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/api/orders"))
      sentIds.push((request.postDataJSON() as { id: string }).id);
  });
  await page.goto(`${world.store.shop}${path}`);
  return { page, faults, sentIds };
}

async function buy({ page }: Opened): Promise<string> {
  await page.locator("#status", { hasText: /Your number is \d+/ }).waitFor();
  return /number is (\d+)/.exec((await page.locator("#status").textContent()) ?? "")?.[1] ?? "";
}

test(
  "an order from the kiosk gets its number, and the barista moves it on until it is collected",
  { skip },
  async () => {
    const kiosk = await open("/");
    await kiosk.page.locator("button[data-sku=latte]").click();
    await kiosk.page.locator("button[data-sku=latte]").click();
    assert.match((await kiosk.page.locator("#cart").textContent()) ?? "", /^2 × /);
    await kiosk.page.locator("#pay").click();
    const number = await buy(kiosk);
    const barista = await open("/barista");
    const card = barista.page.locator(`[data-order="${kiosk.sentIds[0]}"]`);
    for (const [state, button] of [
      ["queued", "Start"],
      ["making", "Ready"],
      ["ready", "Handed over"],
    ] as const) {
      await card.getByText(`#${number} ${state}`).waitFor();
      assert.match((await card.textContent()) ?? "", /2 × latte/);
      await card.getByRole("button", { name: button }).click();
    }
    await card.waitFor({ state: "detached" });
    const order = (await call(`${world.store.shop}/api/orders/${kiosk.sentIds[0]}`)).json();
    assert.equal(order["state"], "collected");
    assert.deepEqual([...kiosk.faults, ...barista.faults], []);
    assert.equal(await kiosk.page.locator("#pay").isDisabled(), true, "the cart is empty again");
  },
);

test(
  "while the shop's pods are deleted the kiosk sends the same order again, and it is there once",
  { skip },
  async () => {
    const kiosk = await open("/");
    const barista = await open("/barista");
    await kiosk.page.locator("button[data-sku=tea]").click();
    await world.tell("coffee-shop", "delete pods --all --wait=false");
    await kiosk.page.locator("#pay").click();
    const number = await buy(kiosk);
    assert.equal(new Set(kiosk.sentIds).size, 1, "one id, however often it was sent");
    assert.equal((await call(`${world.store.shop}/api/orders/${kiosk.sentIds[0]}`)).status, 200);
    await barista.page.getByText(`#${number} queued`).waitFor();
    assert.equal(await barista.page.getByText(`#${number} queued`).count(), 1);
    const { orders } = (await call(`${world.store.shop}/api/queue`)).json() as { orders: { id: string }[] };
    assert.equal(orders.filter(({ id }) => id === kiosk.sentIds[0]).length, 1);
    assert.deepEqual([...kiosk.faults, ...barista.faults], []);
  },
);

test("what an order says never becomes markup", { skip }, async () => {
  const barista = await open("/barista");
  await call(`${world.store.shop}/api/orders`, {
    id: "<img src=x onerror=alert(1)>",
    items: [{ sku: "<b>tea</b>", quantity: 1 }],
    payment: { method: "cash" },
  });
  await barista.page.waitForTimeout(1_500);
  assert.equal(await barista.page.locator("#queue img, #queue b").count(), 0);
});
