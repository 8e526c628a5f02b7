import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { run, stockClient } from "../clients/clients.ts";
import { until } from "./demo-world.ts";
import { FleetProcesses } from "./fleet-processes.ts";

// A chart whose values only the store has (helm.valuesFrom), rendered by the real helm, with hub and store as processes that are killed.
const program = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");
const all = new FleetProcesses();
const tools = ["--helm", stockClient("helm"), "--kubectl", all.kubectl] as const;

const files: Readonly<Record<string, string>> = {
  "till/fleet.yaml": `defaultNamespace: shop
helm:
  values: {greeting: hello, till: {currency: EUR}}
  valuesFrom:
  - configMapKeyRef: {name: till-settings}
  - secretKeyRef: {name: till-secret, namespace: vault, key: till.yaml}
downstreamResources: [{kind: Secret, name: registry}]
targets: [{name: all, clusterSelector: {}}]
`,
  "till/Chart.yaml": "apiVersion: v2\nname: till\nversion: 0.1.0\n",
  "till/templates/map.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: till}
data:
  told: {{ printf "%s %s %s" .Values.greeting .Values.till.currency (required "till.pin is needed" .Values.till.pin) | quote }}
`,
  "other/fleet.yaml": "defaultNamespace: shop\ntargets: [{name: all, clusterSelector: {}}]\n",
  "other/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: b}\n",
};

const toldBy = (): Promise<string> =>
  all.ask("store-1", "get configmap till -n shop -o jsonpath={.data.told}");
const bundle = (): Promise<string> =>
  all.ask("hub", "get bundles.fleet.cattle.io shop-till -n fleet-default -o jsonpath={.status.conditions}");

const comes = (want: string): Promise<unknown> =>
  until(`the till tells ${want}`, async () => (await toldBy()) === want, 40_000);

async function put(name: string, text: string): Promise<void> {
  const said = await all.ask(name, "apply -f -", text);
  assert.doesNotMatch(said, /^failed/);
}

const pin = (text: string): Promise<void> =>
  put(
    "store-1",
    `apiVersion: v1\nkind: Secret\nmetadata: {name: till-secret, namespace: vault}\nstringData: {till.yaml: "till: {pin: '${text}'}"}\n`,
  );

before(async () => {
  for (const [name, text] of Object.entries(files)) {
    const path = join(all.folder, "shop", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  await all.startHub(...tools);
  await put(
    "hub",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: registry, namespace: fleet-default}\nstringData: {word: latte}\n",
  );
  await all.startStore("store-1");
  const words = ["fleet", "apply", "shop", join(all.folder, "shop"), "--kubeconfig", all.kubeconfig("hub")];
  const { code, err } = await run(process.execPath, [program, ...words]);
  assert.equal(code, 0, err);
});

after(async () => {
  await all[Symbol.asyncDispose]();
});

test("a store without the values is told so by name, and has its other bundle", async () => {
  await until(
    "it is told",
    async () => /ConfigMap shop\/till-settings is not there/.test(await bundle()),
    60_000,
  );
  await until(
    "the other bundle",
    async () => (await all.ask("store-1", "get configmap other -n shop -o jsonpath={.data.a}")) === "b",
    30_000,
  );
});

test("ConfigMap and Secret of the store make the chart whole, and a change of them follows", async () => {
  await put("store-1", "apiVersion: v1\nkind: Namespace\nmetadata: {name: vault}\n");
  await put(
    "store-1",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: till-settings, namespace: shop}\ndata: {values.yaml: 'greeting: hei'}\n",
  );
  await pin("1111");
  await comes("hei EUR 1111");
  await pin("2222");
  await comes("hei EUR 2222");
  const copied = await all.ask("store-1", "get secret registry -n shop -o jsonpath={.data.word}");
  assert.equal(Buffer.from(copied, "base64").toString(), "latte");
  await until("it is Ready", async () => /"status":"True","type":"Ready"/.test(await bundle()), 30_000);
});

test("kill -9 of the hub, of the store, and of both leaves what runs, and the next change comes", async () => {
  await all.end("hub", "SIGKILL");
  await pin("3333");
  assert.equal(await toldBy(), "hei EUR 2222");
  await all.startHub(...tools);
  await comes("hei EUR 3333");
  await all.end("store-1", "SIGKILL");
  await all.startStore("store-1");
  await until(
    "the store's API",
    async () => (await all.ask("store-1", "get --raw /readyz")) === "ok",
    40_000,
  );
  await pin("4444");
  await comes("hei EUR 4444");
  await all.end("store-1", "SIGKILL");
  await all.end("hub", "SIGKILL");
  await all.startHub(...tools);
  await all.startStore("store-1");
  await until(
    "the store's API",
    async () => (await all.ask("store-1", "get --raw /readyz")) === "ok",
    40_000,
  );
  assert.equal(await toldBy(), "hei EUR 4444");
  await pin("5555");
  await comes("hei EUR 5555");
});

test("the hub shows no value of the store", async () => {
  for (const kinds of [
    "bundles.fleet.cattle.io,bundledeployments.fleet.cattle.io,clusters.fleet.cattle.io",
    "contents.fleet.cattle.io",
    "events",
  ]) {
    const text = await all.ask("hub", `get ${kinds} -A -o yaml`);
    assert.match(text, /apiVersion/);
    assert.doesNotMatch(text, /5555|4444/);
  }
  assert.doesNotMatch(all.log("hub"), /5555/);
});
