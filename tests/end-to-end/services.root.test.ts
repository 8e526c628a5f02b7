import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Ran } from "../clients/clients.ts";
import { DemoWorld, until, whyNoBoxes, type Words } from "./demo-world.ts";

// How pods and people find services: addresses, names, ingress, policies.
const missing = await whyNoBoxes();
const skip = missing ?? false;
const world = new DemoWorld();

const ask = (words: Words): Promise<Ran> => world.ask("traffic", words);
const tell = (words: Words): Promise<string> => world.tell("traffic", words);
const guest = (script: string): Promise<Ran> => ask(["exec", "guest", "--", "sh", "-c", script]);
const get = (url: string): Promise<Ran> => guest(`timeout 3 wget -qO- ${url}`);

before(async () => {
  if (missing !== undefined) return;
  await world.start();
  await tell("create namespace traffic");
  await until(
    "the namespace's account",
    async () => (await ask("get serviceaccount default")).code === 0,
    5_000,
  );
  await world.tell("traffic", "apply -f -", {
    input: readFileSync(join(import.meta.dirname, "manifests", "traffic.yaml"), "utf8"),
  });
  await tell("rollout status deployment/web --timeout=40s");
  await tell("wait --for=condition=ready pod/guest --timeout=20s");
});
after(() => world.end());

for (const name of ["web", "web.traffic", "web.traffic.svc", "web.traffic.svc.cluster.local", "alias"])
  test(`a pod reaches a service as ${name}`, { skip }, async () => {
    const { out, err } = await get(`http://${name}/x`);
    assert.match(out, /^web-\S+ \S+ \/x\n$/, err);
  });

test("a service's calls go to all of its pods", { skip }, async () => {
  const { out } = await guest("for n in $(seq 40); do timeout 3 wget -qO- http://web/; done");
  assert.equal(
    new Set(
      out
        .trim()
        .split("\n")
        .map((line) => line.split(" ")[0]),
    ).size,
    2,
  );
  assert.equal(out.trim().split("\n").length, 40, "none failed");
});

test("a NodePort answers on the node's address, also to a pod", { skip }, async () => {
  const node = await tell("get node store-042 -o jsonpath={.status.addresses[0].address}");
  assert.match((await get(`http://${node}:30123/n`)).out, /^web-\S+ \S+ \/n\n$/);
});

test("a headless service's name gives its pods' addresses, and SRV its port", { skip }, async () => {
  const script =
    'const d=require("dns").promises;Promise.all([d.resolve4("heads.traffic.svc.cluster.local"),d.resolveSrv("_http._tcp.heads.traffic.svc.cluster.local")]).then(r=>console.log(JSON.stringify(r)))';
  const [addresses, services] = JSON.parse(
    (await tell(["exec", "guest", "--", "node", "-e", script])).trim(),
  ) as [string[], { port: number }[]];
  const pods = (await tell("get pods -l app=web -o jsonpath={.items[*].status.podIP}")).split(" ");
  assert.deepEqual(addresses.toSorted(), pods.toSorted());
  assert.deepEqual(
    services.map(({ port }) => port),
    [8000, 8000],
  );
});

test("a name outside gets SERVFAIL at once, an unknown name inside NXDOMAIN", { skip }, async () => {
  const script = (name: string): string =>
    `const s=Date.now();require("dns").promises.resolve4("${name}").catch(e=>console.log(e.code,Date.now()-s))`;
  const [outside, tookMs] = (await tell(["exec", "guest", "--", "node", "-e", script("shop.example.com")]))
    .trim()
    .split(" ");
  assert.equal(outside, "ESERVFAIL");
  assert.ok(Number(tookMs) < 1_000, `${tookMs} ms`);
  assert.match(
    await tell(["exec", "guest", "--", "node", "-e", script("nobody.traffic.svc.cluster.local")]),
    /^ENOTFOUND /,
  );
});

test("a pod that is not ready is out of its service until it is again", { skip }, async () => {
  const [tired = ""] = (await tell("get pods -l app=web -o jsonpath={.items[*].metadata.name}")).split(" ");
  await tell(["exec", tired, "--", "sh", "-c", "echo > /tmp/tired"]);
  await until(
    "it to be out",
    async () =>
      (await tell("get endpoints web -o jsonpath={.subsets[*].addresses[*].targetRef.name}")).split(" ")
        .length === 1,
    10_000,
  );
  assert.match(await tell(`get pod ${tired}`), /0\/1\s+Running\s+0/);
  await until(
    "no call to go there",
    async () =>
      !(await guest("for n in 1 2 3 4 5 6 7 8; do timeout 3 wget -qO- http://web/; done")).out.includes(
        tired,
      ),
    5_000,
  );
  await tell(["exec", tired, "--", "rm", "/tmp/tired"]);
  await until(
    "it to be back",
    async () =>
      (await tell("get endpoints web -o jsonpath={.subsets[*].addresses[*].targetRef.name}")).split(" ")
        .length === 2,
    10_000,
  );
});

test("the ingress goes by host and path", { skip }, async () => {
  assert.match(
    (await visit("web.example.test", "/deep/er")).text,
    /^web-\S+ web\.example\.test \/deep\/er\n$/,
  );
  assert.equal(
    (await visit("web.example.test", "/api/menu")).status,
    404,
    "a host with rules of its own is not answered by those of any host",
  );
  assert.equal((await visit("other.example.test", "/api/menu")).status, 200);
  assert.doesNotMatch((await visit("web.example.test", "/deeper")).text, /^web-/, "a prefix ends at a slash");
  assert.doesNotMatch((await visit("other.example.test", "/deep")).text, /^web-/);
});

test("a service without pods refuses at once", { skip }, async () => {
  await tell("create service clusterip empty --tcp=80:80");
  const script = `const s=Date.now();require("net").connect(80,"empty").on("error",e=>console.log(e.code,Date.now()-s))`;
  const [code, tookMs] = (await tell(["exec", "guest", "--", "node", "-e", script])).trim().split(" ");
  assert.equal(code, "ECONNREFUSED");
  assert.ok(Number(tookMs) < 900, `it is refused, not dropped: ${tookMs} ms`);
});

test("a NetworkPolicy shuts out who is not named, and lets in who is", { skip }, async () => {
  const policy = (from: object[]): string =>
    JSON.stringify({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "closed" },
      spec: {
        podSelector: { matchLabels: { app: "web" } },
        policyTypes: ["Ingress"],
        ingress: from.length === 0 ? [] : [{ from }],
      },
    });
  await world.tell("traffic", "apply -f -", { input: policy([]) });
  await until(
    "the door to shut",
    async () => (await guest("timeout 1 wget -qO- http://web/")).code !== 0,
    10_000,
  );
  await tell("rollout status deployment/web --timeout=10s");
  await world.tell("traffic", "apply -f -", {
    input: policy([{ podSelector: { matchLabels: { app: "guest" } } }]),
  });
  await until("the door to open", async () => (await get("http://web/")).code === 0, 10_000);
  await tell("label pod guest app=stranger --overwrite");
  await until(
    "a stranger to be shut out",
    async () => (await guest("timeout 1 wget -qO- http://web/")).code !== 0,
    10_000,
  );
  await tell("delete networkpolicy closed");
  await until("all doors to open", async () => (await get("http://web/")).code === 0, 10_000);
  await world.isWell();
});

test("a pod speaks to the API with its own token", { skip }, async () => {
  const script = `const fs=require("fs"),d="/var/run/secrets/kubernetes.io/serviceaccount/";require("https").get({host:"kubernetes.default.svc",path:"/api/v1/namespaces/traffic/pods",ca:fs.readFileSync(d+"ca.crt"),headers:{authorization:"Bearer "+fs.readFileSync(d+"token")}},r=>{let t="";r.on("data",x=>t+=x).on("end",()=>console.log(r.statusCode,JSON.parse(t).message))})`;
  assert.match(
    await tell(["exec", "guest", "--", "node", "-e", script]),
    /^403 pods is forbidden: User "system:serviceaccount:traffic:default" cannot list/,
  );
});

function visit(host: string, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const { hostname, port } = new URL(world.store.shop);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path, headers: { host }, timeout: 5_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    })
      .on("error", reject)
      .end();
  });
}
