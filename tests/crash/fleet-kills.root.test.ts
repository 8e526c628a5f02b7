import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { seededRandom } from "@cortado/std/random";
import { run, stockClient } from "../clients/clients.ts";
import { DemoWorld, until, whyNoBoxes } from "../end-to-end/demo-world.ts";
import { FleetLoad } from "./fleet-load.ts";

/** Kills during rollouts; CI takes few, a release twenty. */
const kills = Number(process.env["CORTADO_KILLS"] ?? 3);
const seed = Number(process.env["CORTADO_SEED"] ?? 1);
/** After a kill, everything is Ready again within this. */
const SETTLED_MS_MAX = 90_000;

const missing = await whyNoBoxes();
const world = new DemoWorld();
const work = mkdtempSync(join(tmpdir(), "cortado-kills-"));
const stores = ["store-042", "store-104"] as const;
const victims = ["hub", ...stores] as const;
const random = seededRandom(seed);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
let load: FleetLoad | undefined;

after(async () => {
  load?.end();
  await world.end();
  rmSync(work, { recursive: true, force: true });
});

test(
  `${kills} kills of hub and stores during rollouts lose nothing and leave nothing stuck (seed ${seed})`,
  { skip: missing ?? false, timeout: 180_000 + kills * 120_000 },
  async () => {
    await world.start();
    await git("clone", "--quiet", world.hub.git, join(work, "shop"));
    load = new FleetLoad(world, stores);
    const settled: number[] = [];
    // Of each three kills one is of the hub and one of each store, in any order.
    const next: string[] = [];
    for (let round = 1; round <= kills; round += 1) {
      if (next.length === 0) next.push(...victims);
      const victim = next.splice(random.integer(next.length), 1)[0] ?? "hub";
      const [afterMs, deadMs] = [random.integer(4_000), random.integer(2_000)];
      // A rollout of two stores takes one to six seconds: the kill falls before, into or after each step of it.
      await Promise.all([push(round), sleep(afterMs).then(() => killAndBoot(victim, deadMs))]);
      const startMs = performance.now();
      await until(
        `round ${round} (${victim}) to be settled`,
        () => isSettled(round),
        SETTLED_MS_MAX,
        250,
      ).catch(async (error: unknown) => assert.fail(`${String(error)}\n${await howItStands()}`));
      settled.push(performance.now() - startMs);
      console.log(
        `# ${round}: ${victim} killed ${afterMs} ms after the commit, dead for ${deadMs} ms; all Ready ${seconds(settled.at(-1))} s after it was up; ${load.orders} orders`,
      );
    }
    await load.finish();
    for (const name of stores) assert.deepEqual(await notes(name), wanted(kills), `every push is in ${name}`);
    await until(
      "all that was acknowledged to be at the hub",
      async () => (await load?.missing())?.length === 0,
      60_000,
      500,
    ).catch(async () => assert.deepEqual(await load?.missing(), []));
    const counts = await load.count();
    const middle = settled.toSorted((one, other) => one - other)[Math.floor(settled.length / 2)];
    console.log(
      `# ${kills} kills: ${kills} of ${kills} pushes in every store; Ready again after ${seconds(middle)} s in the middle, ${seconds(Math.max(...settled))} s at most; ` +
        counts
          .map(
            ({ store, orders, alarms }) =>
              `${store}: ${orders} orders and ${alarms} alarms at the hub, each once`,
          )
          .join("; "),
    );
  },
);

const seconds = (ms = 0): string => (ms / 1_000).toFixed(1);

async function killAndBoot(victim: string, deadMs: number): Promise<void> {
  await world.demo("kill", victim);
  await sleep(deadMs);
  await world.demo("boot", victim);
}

async function git(...words: readonly string[]): Promise<string> {
  const who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.test"];
  const { code, err } = await run("git", [...who, ...words], { timeoutMs: 30_000 });
  return code === 0 ? "" : `git ${words[0]}: ${err}`;
}

/** Each push leaves one more word; each second one restarts the payment's pod, too. Tried until the hub has it. */
async function push(round: number): Promise<void> {
  const folder = join(work, "shop");
  const data = Object.entries(wanted(round)).map(([key, value]) => `  ${key}: "${value}"\n`);
  const note = `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: note, namespace: coffee-shop }\ndata:\n${data.join("")}`;
  const functions = join(folder, "functions", "note.yaml");
  writeFileSync(functions, note);
  const payment = join(folder, "manifests", "payment.yaml");
  await run("sed", [
    "-i",
    `s/terminationGracePeriodSeconds: .*/terminationGracePeriodSeconds: ${3 + (Math.floor(round / 2) % 2)}/`,
    payment,
  ]);
  assert.equal(await git("-C", folder, "add", "--all"), "");
  assert.equal(await git("-C", folder, "commit", "--quiet", "-m", `Push ${round}`), "");
  await until("the push", async () => (await git("-C", folder, "push", "--quiet")) === "", 60_000, 300);
}

const wanted = (round: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: round }, (_, at) => [`push-${at + 1}`, "here"]));

async function ask(kubeconfig: string, words: string): Promise<string> {
  const { code, out } = await run(stockClient("kubectl"), ["--kubeconfig", kubeconfig, ...words.split(" ")], {
    timeoutMs: 15_000,
  });
  return code === 0 ? out : "";
}
const atHub = (words: string): Promise<string> => ask(world.hub.kubeconfig, words);

async function notes(name: string): Promise<unknown> {
  const text = await ask(
    world.storeNamed(name).kubeconfig,
    "get configmap note -n coffee-shop -o jsonpath={.data}",
  );
  return text === "" ? {} : JSON.parse(text);
}

type Named = {
  readonly metadata: { readonly name: string };
  readonly status?: {
    readonly display?: { readonly state?: string };
    readonly rollout?: { readonly phase: string };
  };
};

/** Both stores have the push and are Ready, and every rollout is through. */
async function isSettled(round: number): Promise<boolean> {
  const [clusters, bundles] = await Promise.all(
    ["clusters.fleet.cattle.io", "bundles.fleet.cattle.io"].map(async (kind) => {
      const text = await atHub(`get ${kind} -n fleet-default -o json`);
      return text === "" ? undefined : (JSON.parse(text) as { readonly items: readonly Named[] }).items;
    }),
  );
  if (clusters === undefined || bundles === undefined) return false;
  if (!clusters.every(({ status }) => status?.display?.state === "Ready")) return false;
  if (!bundles.every(({ status }) => status?.rollout?.phase === "Complete")) return false;
  for (const name of stores) if (!isDeepStrictEqual(await notes(name), wanted(round))) return false;
  return true;
}

async function howItStands(): Promise<string> {
  return (
    (
      await atHub("get clusters.fleet.cattle.io,bundles.fleet.cattle.io,gitrepos -n fleet-default -o yaml")
    ).slice(-12_000) + world.said.slice(-2_000)
  );
}
