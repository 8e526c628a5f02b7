import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import { bundle, until } from "./demo-world.ts";
import { FleetProcesses } from "./fleet-processes.ts";

// The hub's dashboard in Debian's Chromium, with ten thousand stores at a real hub.
const STORES = 10_000;
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  (path) => existsSync(path),
);
const missing =
  executablePath === undefined
    ? "needs Chromium: apt-get install chromium"
    : existsSync(bundle)
      ? undefined
      : "needs the bundle: npm run bundle";
const skip = missing ?? false;
const fleet = new FleetProcesses(bundle);
const agent = new Agent({ keepAlive: true, maxSockets: 16, rejectUnauthorized: false });
let browser: Browser;
let page: Page;
const faults: string[] = [];

before(async () => {
  if (missing !== undefined || executablePath === undefined) return;
  await fleet.startHub();
  const next = Array.from({ length: STORES }, (_, at) => at)[Symbol.iterator]();
  await Promise.all(Array.from({ length: 16 }, () => makeStores(next)));
  browser = await chromium.launch({
    executablePath,
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    ],
  });
  page = await browser.newPage({ ignoreHTTPSErrors: true, viewport: { width: 1300, height: 800 } });
  page.on("pageerror", (error) => faults.push(error.message));
});
after(async () => {
  await browser?.close();
  agent.destroy();
  await fleet[Symbol.asyncDispose]();
});

async function makeStores(numbers: Iterator<number>): Promise<void> {
  for (let one = numbers.next(); one.done !== true; one = numbers.next()) {
    const name = `store-${String(one.value).padStart(5, "0")}`;
    const labels = { location: one.value % 2 === 0 ? "edge" : "mall", region: `r${one.value % 50}` };
    await post({ metadata: { name, labels } });
  }
}

function post(cluster: unknown): Promise<void> {
  const url = `${fleet.hubUrl}/apis/fleet.cattle.io/v1alpha1/namespaces/fleet-default/clusters`;
  const body = JSON.stringify({
    apiVersion: "fleet.cattle.io/v1alpha1",
    kind: "Cluster",
    ...(cluster as object),
  });
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const sent = request(
      url,
      { method: "POST", agent, headers, auth: `admin:${fleet.password}` },
      (response) => {
        response.resume();
        response.on("end", () =>
          response.statusCode === 201 ? resolve() : reject(new Error(`a Cluster: ${response.statusCode}`)),
        );
      },
    );
    sent.once("error", reject);
    sent.end(body);
  });
}

const dashboard = (): string =>
  fleet.hubUrl.replace("https://", `https://admin:${fleet.password}@`) + "/dashboard";

test("who has no name is asked for one, and gets no page", { skip }, async () => {
  const nobody = await browser.newPage({ ignoreHTTPSErrors: true });
  const answer = await nobody.goto(`${fleet.hubUrl}/dashboard`).catch((error: unknown) => String(error));
  // Chromium asks its user for a name; with nobody to answer, the page does not come.
  assert.ok(typeof answer === "string" ? /AUTH|401/.test(answer) : answer?.status() === 401, String(answer));
  await nobody.close();
});

test(
  "ten thousand stores: rows are seen at once, all are counted, few are in the document",
  { skip },
  async () => {
    await page.goto(dashboard());
    await page.getByRole("link", { name: "store-00000" }).waitFor({ timeout: 30_000 });
    const paint = await page.evaluate(
      () => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Number.NaN,
    );
    assert.ok(paint > 0, "the browser tells when it first painted");
    console.log(`# first contentful paint after ${paint.toFixed(0)} ms`);
    await page.getByText(`${STORES} stores`, { exact: true }).waitFor({ timeout: 60_000 });
    const table = page.getByRole("table", { name: "Stores" });
    assert.equal(await table.getAttribute("aria-rowcount"), String(STORES + 1));
    assert.ok((await page.locator("tbody tr").count()) < 100, "only what is seen is drawn");
  },
);

test("the filter finds by name and label, and state chips narrow it", { skip }, async () => {
  const filter = page.getByRole("searchbox", { name: "Filter" });
  const tookMs = await page.evaluate(() => {
    const input = document.querySelector<HTMLInputElement>("#filter");
    if (input === null) return Number.NaN;
    const startMs = performance.now();
    input.value = "region=r7";
    input.dispatchEvent(new InputEvent("input", { bubbles: true }));
    return new Promise<number>((resolve) => {
      const look = (): void => {
        if (document.querySelector("[role=status]")?.textContent.startsWith("200 of "))
          resolve(performance.now() - startMs);
        else requestAnimationFrame(look);
      };
      look();
    });
  });
  console.log(`# filter of ${STORES} rows shown after ${tookMs.toFixed(0)} ms`);
  await filter.fill("store-00123 region=r23");
  await page.getByText(`1 of ${STORES} stores`).waitFor();
  await filter.fill("no such store");
  await page.getByText("Nothing matches the filter.").waitFor();
  await filter.fill("");
  await page.getByRole("button", { name: /WaitCheckIn 10000/ }).click();
  await page.getByText(`${STORES} of ${STORES} stores`).waitFor();
  await page.getByRole("button", { name: /WaitCheckIn 10000/ }).click();
});

test("the far end is reached by scrolling, and by sorting from the keyboard", { skip }, async () => {
  await page.getByRole("region", { name: "Stores" }).evaluate((box) => {
    box.scrollTop = box.scrollHeight;
  });
  await page.getByRole("link", { name: "store-09999" }).waitFor();
  await page.getByRole("button", { name: /^Store/ }).focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("th.of-name").first().getAttribute("aria-sort"), "descending");
  await page.getByRole("region", { name: "Stores" }).evaluate((box) => {
    box.scrollTop = 0;
  });
  await page.getByRole("link", { name: "store-09999" }).waitFor();
  await page.keyboard.press("Enter");
});

test("what happens is seen without loading anew", { skip }, async () => {
  await post({ metadata: { name: "aaa-new-store" } });
  await page.getByRole("link", { name: "aaa-new-store" }).waitFor({ timeout: 10_000 });
  const gone = await fleet.ask("hub", "delete clusters.fleet.cattle.io aaa-new-store -n fleet-default");
  assert.match(gone, /deleted/);
  await until(
    "it is gone",
    async () => (await page.getByRole("link", { name: "aaa-new-store" }).count()) === 0,
    10_000,
  );
});

test("a store's page is reached by keyboard alone, and says what is known of it", { skip }, async () => {
  await page.getByRole("link", { name: "store-00000" }).focus();
  await page.keyboard.press("Enter");
  const title = page.getByRole("heading", { name: "Store store-00000" });
  await title.waitFor();
  assert.ok(
    await title.evaluate((element) => element === document.activeElement),
    "who listens goes on here",
  );
  await page.getByText("location=edge, region=r0").waitFor();
  await page.getByRole("heading", { name: "Bundles", exact: true }).waitFor();
});

test("axe finds nothing on any page, light or dark", { skip }, async () => {
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const places = ["stores", "stores/fleet-default/store-00000", "repositories", "bundles", "alerts"];
  for (const colorScheme of ["light", "dark"] as const)
    for (const place of places) {
      await page.emulateMedia({ colorScheme });
      await page.evaluate((hash) => {
        location.hash = hash;
      }, `#/${place}`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      // By the debugger, as the page's own policy lets no other script in.
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const { axe: checker } = window as unknown as {
          readonly axe: {
            run(): Promise<{
              readonly violations: readonly {
                readonly id: string;
                readonly nodes: readonly { readonly html: string }[];
              }[];
            }>;
          };
        };
        const { violations } = await checker.run();
        return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
      });
      assert.deepEqual(found, [], `${place}, ${colorScheme}`);
    }
  assert.deepEqual(faults, []);
});
