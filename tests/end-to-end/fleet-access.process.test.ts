import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Running } from "../clients/running.ts";
import { until } from "./demo-world.ts";
import { FleetProcesses } from "./fleet-processes.ts";

// What a store tells its hub, and what the hub's people reach of a store, over the connection that the store opened.
const fleet = new FleetProcesses();

before(async () => {
  await fleet.startHub();
  await fleet.startStore("store-104");
  await until("the store at the hub", async () => (await stateOf("store-104")) === "Ready", 60_000);
});
after(() => fleet[Symbol.asyncDispose]());

const stateOf = (name: string): Promise<string> =>
  fleet.ask(
    "hub",
    `get clusters.fleet.cattle.io ${name} -n fleet-default -o jsonpath={.status.display.state}`,
  );
const inStore = (words: string, input?: string): Promise<string> =>
  fleet.ask("hub", `--context store-104 ${words}`, input);

type Answer = { readonly status: number; readonly text: string; readonly headers: Record<string, unknown> };

function askHub(path: string, authorization?: string): Promise<Answer> {
  const headers = authorization === undefined ? {} : { authorization };
  return new Promise((resolve, reject) => {
    const asking = requestHttps(
      fleet.hubUrl + path,
      { headers, rejectUnauthorized: false, agent: false },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (piece: string) => (text += piece));
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text, headers: answer.headers }));
      },
    );
    asking.on("error", reject);
    asking.end();
  });
}

/** The shop's services post what happened to the store. */
function journal(events: readonly unknown[]): Promise<number> {
  const body = JSON.stringify(events);
  const socketPath = join(fleet.sockets("store-104"), "telemetry.sock");
  return new Promise((resolve, reject) => {
    const asking = requestHttp({ socketPath, method: "POST", path: "/telemetry/v1/events" }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asking.on("error", reject);
    asking.end(body);
  });
}

const basic = (): string => `Basic ${Buffer.from(`admin:${fleet.password}`).toString("base64")}`;
type Line = { readonly id: string; readonly store: string; readonly sequence: number };
async function lines(query: string): Promise<readonly Line[]> {
  const { status, text } = await askHub(`/telemetry/v1/events?${query}`, basic());
  assert.equal(status, 200, text);
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Line]));
}

const order = (number: number, state: string): unknown => ({
  id: `event-${number}`,
  kind: "order",
  at: `2026-11-23T08:00:0${number}Z`,
  order: "order-1",
  amount: 350,
  currency: "EUR",
  state,
});

const alert = `apiVersion: telemetry.cortado.dev/v1alpha1
kind: Alert
metadata: { name: fridge, namespace: default }
spec: { store: another, source: temperature-check, topic: /store104/fridge/temp, payload: "97.4", text: "Warning: 97.4 F", at: "2026-11-23T08:00:00Z" }
`;

test("orders, alerts and machine counts of a store are at the hub once, over kills of both", async () => {
  assert.equal(await journal([order(1, "queued"), order(2, "making")]), 200);
  await until("two orders", async () => (await lines("store=store-104&kind=order")).length === 2, 10_000);
  await fleet.end("hub", "SIGKILL");
  assert.equal(await journal([order(3, "ready")]), 200);
  await fleet.ask("store-104", "apply -f -", alert);
  await fleet.end("store-104", "SIGKILL");
  await fleet.startHub();
  await fleet.startStore("store-104");
  await until("three orders", async () => (await lines("store=store-104&kind=order")).length === 3, 60_000);
  const [first, , third] = await lines("store=store-104&kind=order");
  assert.deepEqual(first, {
    id: "event-1",
    store: "store-104",
    sequence: first?.sequence,
    at: "2026-11-23T08:00:01Z",
    order: "order-1",
    amount: 350,
    state: "queued",
  });
  assert.equal((await lines(`store=store-104&kind=order&after=${first?.sequence}`)).length, 2);
  assert.equal(third?.id, "event-3");
  const shown = await until(
    "the alert",
    async () => {
      const text = await fleet.ask("hub", "get alerts -A -o json");
      const { items } = JSON.parse(text) as { items: { metadata: { namespace: string }; spec: unknown }[] };
      return items.length === 0 ? undefined : items;
    },
    20_000,
  );
  assert.equal(shown.length, 1);
  assert.equal(shown[0]?.metadata.namespace, "fleet-default");
  assert.deepEqual(shown[0]?.spec, {
    store: "store-104",
    source: "temperature-check",
    topic: "/store104/fridge/temp",
    payload: "97.4",
    text: "Warning: 97.4 F",
    at: "2026-11-23T08:00:00Z",
  });
  assert.match(
    await fleet.ask("hub", "get alerts -A --no-headers"),
    /store-104-\S+\s+temperature-check\s+Warning: 97\.4 F/,
  );
});

test("who may not ask for events is refused, and a bad question names its parameter", async () => {
  const anonymous = await askHub("/telemetry/v1/events");
  assert.equal(anonymous.status, 401);
  assert.match(String(anonymous.headers["www-authenticate"]), /^Basic /);
  assert.equal((await askHub("/telemetry/v1/events", "Basic bm9ib2R5OnRoZXJl")).status, 401);
  const wrong = await askHub("/telemetry/v1/events?kind=cup", basic());
  assert.equal(wrong.status, 400);
  assert.match(wrong.text, /parameter kind: /);
  const rules = `apiVersion: v1
kind: ServiceAccount
metadata: { name: clerk, namespace: fleet-default }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: clerk }
rules:
  - { apiGroups: [telemetry.cortado.dev], resources: [events], resourceNames: [store-104], verbs: [get] }
  - { apiGroups: [fleet.cattle.io], resources: [clusters/proxy], resourceNames: [store-104], verbs: [get] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: clerk }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: clerk }
subjects: [{ kind: ServiceAccount, name: clerk, namespace: fleet-default }]
`;
  assert.match(await fleet.ask("hub", "apply -f -", rules), /clusterrole.*clerk created/s);
  const bearer = `Bearer ${(await fleet.ask("hub", "create token clerk -n fleet-default")).trim()}`;
  assert.equal((await askHub("/telemetry/v1/events?store=store-104", bearer)).status, 200);
  assert.equal((await askHub("/telemetry/v1/events?store=store-042", bearer)).status, 403);
  assert.equal((await askHub("/telemetry/v1/events", bearer)).status, 403);
  const inside = await askHub("/stores/fleet-default/store-104/api/v1/pods", bearer);
  assert.equal(inside.status, 403);
  assert.match(inside.text, /User \\"hub:system:serviceaccount:fleet-default:clerk\\" cannot list resource/);
  const outside = await askHub("/stores/fleet-default/store-042/api/v1/pods", bearer);
  assert.match(
    outside.text,
    /cannot get resource \\"clusters\/proxy\\" in API group \\"fleet\.cattle\.io\\"/,
  );
  assert.equal((await askHub("/stores/fleet-default/store-042/api/v1/pods", basic())).status, 404);
});

test("the hub's kubeconfig has a context for each store, and stock kubectl works through it", async () => {
  assert.equal(statSync(fleet.kubeconfig("hub")).mode & 0o777, 0o600);
  assert.equal(await fleet.ask("hub", "config current-context"), "hub\n");
  assert.deepEqual((await fleet.ask("hub", "config get-contexts -o name")).trim().split("\n").toSorted(), [
    "hub",
    "store-104",
  ]);
  assert.match(await inStore("get nodes --no-headers"), /^store-104\s+Ready/);
  assert.match(await inStore("create deployment web --image=example.test/web:1"), /created/);
  assert.match(await inStore("rollout status deployment/web --timeout=30s"), /successfully rolled out/);
  assert.match(await fleet.ask("store-104", "get pods -l app=web --no-headers"), /1\/1\s+Running/);
  const map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: menu }\ndata: { coffee: arabica }\n";
  assert.match(await inStore("apply -f -", map), /configmap\/menu created/);
  await using watching = new Running(fleet.kubectl, [
    ...["--kubeconfig", fleet.kubeconfig("hub"), "--context", "store-104"],
    ...["get", "configmap", "menu", "--watch", "-o", "jsonpath={.data.coffee}{'\\n'}"],
  ]);
  await until("the watch", () => watching.said.includes("arabica"), 10_000);
  assert.match(await inStore("apply -f -", map.replace("arabica", "robusta")), /configured/);
  await until("the change", () => watching.said.includes("robusta"), 10_000);
});

test("logs, exec and port-forward go through: WebSocket and SPDY", async () => {
  const pod = (await inStore("get pods -l app=web -o name")).trim();
  const direct = await fleet.ask("store-104", `logs ${pod}`);
  assert.equal(await inStore(`logs ${pod}`), direct);
  const where = ["--kubeconfig", fleet.kubeconfig("hub"), "--context", "store-104"];
  const own = await fleet.run(
    ["--kubeconfig", fleet.kubeconfig("store-104"), "exec", "-i", pod, "--", "hostname"],
    "",
  );
  for (const protocol of ["true", "false"]) {
    await using exec = new Running(fleet.kubectl, [...where, "exec", "-i", pod, "--", "hostname"], {
      KUBECTL_REMOTE_COMMAND_WEBSOCKETS: protocol,
    });
    assert.equal(await exec.code(15_000), own.code);
    assert.equal(exec.said, own.out + own.err);
    await using forward = new Running(fleet.kubectl, [...where, "port-forward", pod, ":8080"], {
      KUBECTL_PORT_FORWARD_WEBSOCKETS: protocol,
    });
    await until(
      "the forwarding",
      () => /Forwarding from 127\.0\.0\.1:\d+ -> 8080/.test(forward.said),
      15_000,
    );
  }
  await until("the record", () => /"store access".*"verb":"create".*\/exec"/.test(fleet.log("hub")), 5_000);
  assert.doesNotMatch(fleet.log("hub"), /command=hostname/);
});

test("a store that is dark is Offline with its time, and a Cluster that is gone has no context", async () => {
  await fleet.end("store-104", "SIGKILL");
  const dark = /store store-104 is Offline since 20\d\d-\d\d-\d\dT/;
  const answer = await until(
    "the refusal",
    async () => {
      const found = await askHub("/stores/fleet-default/store-104/version", basic());
      return dark.test(found.text) ? found : undefined;
    },
    20_000,
  );
  assert.equal(answer.status, 503);
  assert.match(await inStore("get pods"), /store store-104 is Offline since/);
  const old = readFileSync(fleet.kubeconfig("hub"), "utf8");
  await fleet.ask("hub", "delete clusters.fleet.cattle.io store-104 -n fleet-default");
  await until(
    "the context to go",
    async () => (await fleet.ask("hub", "config get-contexts -o name")).trim() === "hub",
    10_000,
  );
  assert.notEqual(readFileSync(fleet.kubeconfig("hub"), "utf8"), old);
});
