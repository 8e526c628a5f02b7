import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { contextsOf, keepHubKubeconfig } from "./hub-kubeconfig.ts";

const folder = mkdtempSync(join(tmpdir(), "cortado-hub-kubeconfig-"));
after(() => rmSync(folder, { recursive: true, force: true }));

type Kubeconfig = {
  readonly "current-context": string;
  readonly contexts: readonly { readonly name: string }[];
  readonly clusters: readonly { readonly name: string; readonly cluster: { readonly server: string } }[];
};

for (const { name, clusters, want } of [
  { name: "no stores", clusters: [], want: [] },
  { name: "each by its name", clusters: ["a/store-2", "a/store-1"], want: ["store-1", "store-2"] },
  { name: "one name twice", clusters: ["b/store", "a/store"], want: ["store", "b/store"] },
  { name: "the hub's own name", clusters: ["a/hub"], want: ["a/hub"] },
])
  test(`contexts: ${name}`, () => {
    const keys = clusters.map((key) => ({
      namespace: key.split("/")[0] ?? "",
      name: key.split("/")[1] ?? "",
    }));
    assert.deepEqual(
      contextsOf(keys, "hub").map(({ context }) => context),
      want,
    );
  });

test("the file follows stores that come and go, by rename, for its owner only", async () => {
  const path = join(folder, "hub.yaml");
  const clock = new HeldClock();
  const clusters = [{ namespace: "fleet-default", name: "store-104" }];
  let tell = (): void => undefined;
  const ready = Promise.withResolvers<void>();
  const hub = {
    ready: ready.promise,
    get clusters() {
      return clusters;
    },
    onClusters(listener: () => void) {
      tell = listener;
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const admin = { cert: "certificate", key: "key" };
  const content = () => ({ name: "hub", server: "https://127.0.0.1:7", serverCa: "authority", admin });
  writeFileSync(`${path}.next`, "half", { mode: 0o644 });
  chmodSync(`${path}.next`, 0o644);
  const config = { writeKubeconfig: path, writeKubeconfigMode: 0o600 };
  using _kept = await keepHubKubeconfig({ config, hub, content, clock, log: silentLog });
  const read = (): Kubeconfig => JSON.parse(readFileSync(path, "utf8")) as Kubeconfig;
  assert.equal(read()["current-context"], "hub");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  ready.resolve();
  clusters.push({ namespace: "fleet-default", name: "store-042" });
  tell();
  const until = async (names: readonly string[]): Promise<void> => {
    for (let turn = 0; turn < 200; turn += 1) {
      await clock.advance(1_000);
      if (JSON.stringify(read().contexts.map(({ name }) => name)) === JSON.stringify(names)) return;
      await delay(5);
    }
    assert.fail(`not ${names.join()} but ${JSON.stringify(read().contexts)}`);
  };
  await until(["hub", "store-042", "store-104"]);
  const store = read().clusters.find(({ name }) => name === "store-104");
  assert.equal(store?.cluster.server, "https://127.0.0.1:7/stores/fleet-default/store-104");
  clusters.shift();
  tell();
  await until(["hub", "store-042"]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ["hub.yaml"]);
});
