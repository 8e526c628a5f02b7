import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { decode, encode } from "dns-packet";
import { newLoopMetrics } from "@cortado/client/loop";
import type { NetworkPolicy } from "@cortado/kinds";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { startDns } from "../dns/dns-server.ts";
import { prepareNode } from "../node/prepare.ts";
import { systemTools } from "../nft.ts";
import { startPolicies } from "../policies/policies.ts";
import { startServices } from "../services/services.ts";
import { MemoryObjects, namespace, pod, service, slice } from "./memory-objects.ts";

const objects = new MemoryObjects();
const stop = new AbortController();
const children: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), "net-"));
const sh = (script: string): string =>
  execFileSync("sh", ["-ec", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const inPod = (name: string, script: string): string => {
  try {
    return execFileSync("nsenter", [`--net=/run/netns/${name}`, "sh", "-c", script], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    return `failed: ${(error as { stderr?: string }).stderr ?? ""}`;
  }
};
const get = (url: string): string => `timeout 2 busybox wget -qO- ${url}`;
const tools = systemTools({ clock: systemClock });
const ports = {
  tools,
  objects,
  clock: systemClock,
  log: silentLog,
  metrics: newLoopMetrics(newMetrics()),
  signal: stop.signal,
};
let remove: () => Promise<void> = () => Promise.resolve();
const pods = [
  pod("shop/a", { ip: "10.42.0.2", labels: { app: "a" } }),
  pod("shop/b", { ip: "10.42.0.3", labels: { app: "b" } }),
  pod("shop/c", { ip: "10.42.0.4", labels: { app: "c" } }),
];

async function until(what: string, reached: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) {
    if (reached()) return;
    await systemClock.sleep(30, { signal: stop.signal });
  }
  throw new Error(`not reached: ${what}\n${sh("nft list ruleset; ip addr; ip route")}`);
}

before(async () => {
  await prepareNode(
    {
      ...{ table: "nt-pods", bridge: "cni0", gateway: "10.42.0.1/24", podCidr: "10.42.0.0/24" },
      ...{ clusterCidr: "10.42.0.0/16", serviceCidr: "10.43.0.0/16", reservedIps: ["10.43.0.10"] },
    },
    ports,
  );
  objects.set({ namespaces: [namespace("shop")], pods });
  const services = await startServices(
    {
      table: "nt-services",
      bridge: "cni0",
      podCidr: "10.42.0.0/24",
      clusterCidr: "10.42.0.0/16",
      disguise: false,
      nodeName: "node",
      nodeIps: () => ["192.0.2.7"],
      reservedIps: ["10.43.0.10"],
    },
    ports,
  );
  const policies = await startPolicies(
    { table: "nt-policies", nodeName: "node", dnsIp: "10.43.0.10", bridge: "cni0" },
    ports,
  );
  remove = async () => void (await Promise.all([services.remove(), policies.remove()]));
  for (const [name, ip] of [
    ["a", 2],
    ["b", 3],
    ["c", 4],
  ] as const) {
    sh(`ip netns add ${name}; ip link add v${name} type veth peer name eth0 netns ${name}; ip link set v${name} master cni0 up
      bridge link set dev v${name} hairpin on 2>/dev/null || echo 1 > /sys/class/net/v${name}/brport/hairpin_mode
      ip -n ${name} addr add 10.42.0.${ip}/24 dev eth0; ip -n ${name} link set eth0 up; ip -n ${name} link set lo up; ip -n ${name} route add default via 10.42.0.1`);
    writeFileSync(join(folder, `${name}.html`), name);
    const server = spawn(
      "nsenter",
      [
        `--net=/run/netns/${name}`,
        "sh",
        "-c",
        `mkdir -p ${folder}/${name}; echo ${name} > ${folder}/${name}/index.html; exec busybox httpd -f -p 8080 -h ${folder}/${name}`,
      ],
      { stdio: "ignore" },
    );
    children.push(server);
  }
  // The outside: a client that has no business with the pods' network but a route to the node.
  sh(
    "ip netns add outside; ip link add up0 type veth peer name eth0 netns outside; ip addr add 192.0.2.7/24 dev up0; ip link set up0 up; ip -n outside addr add 192.0.2.99/24 dev eth0; ip -n outside link set eth0 up",
  );
  await until("the pods' servers answer", () =>
    ["a", "b", "c"].every((name, at) => inPod("a", get(`http://10.42.0.${at + 2}:8080/`)) === `${name}\n`),
  );
});

after(async () => {
  stop.abort();
  for (const child of children) child.kill("SIGKILL");
  for (const name of ["a", "b", "c", "outside"]) sh(`ip netns delete ${name} 2>/dev/null || true`);
  rmSync(folder, { recursive: true });
  await Promise.resolve();
});

const web = service("shop/web", {
  clusterIP: "10.43.0.20",
  type: "LoadBalancer",
  ports: [{ port: 80, nodePort: 30_080 }],
});

test("a service is reached from pods, from the node, from itself and from outside; both pods take their turn", async () => {
  objects.set({
    services: [web],
    slices: [slice({ service: "shop/web", ips: ["10.42.0.3", "10.42.0.4"], port: 8080 })],
  });
  await until("rules", () => inPod("a", get("http://10.43.0.20/")).length === 2);
  const answers = new Set(Array.from({ length: 4 }, () => inPod("a", get("http://10.43.0.20/"))));
  assert.deepEqual([...answers].toSorted(), ["b\n", "c\n"]);
  assert.match(sh(get("http://10.43.0.20/")), /^[bc]\n$/);
  assert.match(sh(get("http://192.0.2.7/")), /^[bc]\n$/);
  assert.match(inPod("outside", get("http://192.0.2.7/")), /^[bc]\n$/);
  assert.match(inPod("outside", get("http://192.0.2.7:30080/")), /^[bc]\n$/);
  assert.match(sh(get("http://127.0.0.1:30080/")), /^[bc]\n$/);
  for (let turn = 0; turn < 2; turn += 1) assert.match(inPod("b", get("http://10.43.0.20/")), /^[bc]\n$/);
});

test("a service that nobody answers refuses at once", async () => {
  objects.set({ slices: [slice({ service: "shop/web", ips: [], notReady: ["10.42.0.3"], port: 8080 })] });
  await until("refused", () => inPod("a", get("http://10.43.0.20/")).includes("refused"));
  assert.match(inPod("outside", get("http://192.0.2.7:30080/")), /refused/);
  objects.set({ slices: [slice({ service: "shop/web", ips: ["10.42.0.4"], port: 8080 })] });
  await until("answers again", () => inPod("a", get("http://10.43.0.20/")) === "c\n");
});

test("a service may be answered on the node's loopback, which pods reach by no other way", async () => {
  const own = createServer((_request, response) => response.end("own\n"));
  const port = await new Promise<number>((resolve) =>
    own.listen(0, "127.0.0.1", () => resolve((own.address() as AddressInfo).port)),
  );
  objects.set({ slices: [slice({ service: "shop/web", ips: ["127.0.0.1"], port })] });
  const ask = (url: string): Promise<string> =>
    new Promise((resolve) => {
      const child = spawn("nsenter", ["--net=/run/netns/a", "sh", "-c", get(url)], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      let text = "";
      child.stdout.on("data", (bytes: Buffer) => (text += bytes.toString("utf8")));
      child.on("close", () => resolve(text));
    });
  let answer = "";
  for (let turn = 0; turn < 20 && answer !== "own\n"; turn += 1) answer = await ask("http://10.43.0.20/");
  assert.equal(answer, "own\n");
  sh("ip -n a route add 127.0.0.2/32 via 10.42.0.1 2>/dev/null || true");
  assert.equal(await ask(`http://127.0.0.2:${port}/`), "");
  await new Promise((resolve) => own.close(resolve));
});

test("an address is kept for a client when the service asks for it", async () => {
  objects.set({
    services: [
      service("shop/web", { clusterIP: "10.43.0.20", sessionAffinity: "ClientIP", ports: [{ port: 80 }] }),
    ],
    slices: [slice({ service: "shop/web", ips: ["10.42.0.3", "10.42.0.4"], port: 8080 })],
  });
  await until("sticky", () => sh("nft list table ip nt-services").includes("aff-svc"));
  const first = inPod("a", get("http://10.43.0.20/"));
  assert.match(first, /^[bc]\n$/);
  for (let turn = 0; turn < 5; turn += 1) assert.equal(inPod("a", get("http://10.43.0.20/")), first);
});

test("a policy holds back pods of the same bridge, straight and through a service, and lets others pass", async () => {
  const policy = (spec: NetworkPolicy["spec"]): NetworkPolicy =>
    ({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "p", namespace: "shop" },
      spec,
    }) as NetworkPolicy;
  objects.set({
    services: [service("shop/web", { clusterIP: "10.43.0.20", ports: [{ port: 80 }] })],
    slices: [slice({ service: "shop/web", ips: ["10.42.0.4"], port: 8080 })],
    policies: [
      policy({
        podSelector: { matchLabels: { app: "c" } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: "a" } } }], ports: [{ port: 8080 }] }],
      }),
    ],
  });
  await until("b is held back", () => inPod("b", get("http://10.42.0.4:8080/")) !== "c\n");
  assert.notEqual(inPod("b", get("http://10.43.0.20/")), "c\n");
  assert.equal(inPod("a", get("http://10.42.0.4:8080/")), "c\n");
  assert.equal(inPod("a", get("http://10.43.0.20/")), "c\n");
  assert.equal(sh(get("http://10.42.0.4:8080/")), "c\n");
  objects.set({
    policies: [policy({ podSelector: { matchLabels: { app: "a" } }, policyTypes: ["Egress"] })],
  });
  await until("a gets nowhere", () => inPod("a", get("http://10.42.0.4:8080/")) !== "c\n");
  assert.equal(inPod("b", get("http://10.42.0.4:8080/")), "c\n");
  objects.set({ policies: [] });
  await until("a is free", () => inPod("a", get("http://10.42.0.4:8080/")) === "c\n");
});

test("the cluster's DNS answers pods over UDP and TCP, and fails at once for what nobody knows", async () => {
  await using server = await startDns(
    { host: "10.43.0.10", port: 53, domain: "cluster.local", upstreams: () => [] },
    ports,
  );
  assert.equal(server.port, 53);
  const resolv = join(folder, "resolv.conf");
  writeFileSync(
    resolv,
    "nameserver 10.43.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
  );
  const byName = spawn(
    "nsenter",
    [
      "--net=/run/netns/a",
      "unshare",
      "-m",
      "sh",
      "-c",
      `mount --bind ${resolv} /etc/resolv.conf; ${get("http://web/")}`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let text = "";
  byName.stdout.on("data", (bytes: Buffer) => (text += bytes.toString("utf8")));
  await new Promise((resolve) => byName.on("close", resolve));
  assert.equal(text, "c\n");
  const answer = await ask("example.com", "10.43.0.10");
  assert.equal((answer.flags ?? 0) & 0xf, 2);
});

test("names outside are asked upstream", async () => {
  const upstream = createSocket("udp4");
  await new Promise<void>((resolve) => upstream.bind(0, "127.0.0.1", resolve));
  upstream.on("message", (bytes, from) => {
    const query = decode(bytes);
    upstream.send(
      encode({
        type: "response",
        id: query.id ?? 0,
        questions: query.questions ?? [],
        answers: [{ type: "A", name: "example.com", data: "192.0.2.1", ttl: 1 }],
      }),
      from.port,
      from.address,
    );
  });
  await using _server = await startDns(
    {
      host: "10.43.0.10",
      port: 53,
      domain: "cluster.local",
      upstreams: () => [{ host: "127.0.0.1", port: upstream.address().port }],
    },
    ports,
  );
  const answer = await ask("example.com", "10.43.0.10");
  assert.deepEqual(
    answer.answers?.map((one) => ("data" in one ? one.data : undefined)),
    ["192.0.2.1"],
  );
  upstream.close();
});

test("a pod goes out of the cluster by its node's address, which has a way back", async () => {
  const folderOut = join(folder, "outside");
  const script = `mkdir -p ${folderOut}; echo outside > ${folderOut}/index.html; exec busybox httpd -f -p 8081 -h ${folderOut}`;
  children.push(spawn("nsenter", ["--net=/run/netns/outside", "sh", "-c", script], { stdio: "ignore" }));
  await until("the way out", () => inPod("a", get("http://192.0.2.99:8081/")) === "outside\n");
});

test("at the end no table of rules is left, and the way out stays", async () => {
  await remove();
  assert.deepEqual(sh("nft list tables").match(/nt-\S+/g), ["nt-pods"]);
});

function ask(name: string, host: string): Promise<ReturnType<typeof decode>> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.on("message", (bytes) => {
      socket.close();
      resolve(decode(bytes));
    });
    socket.send(encode({ type: "query", id: 7, flags: 0x0100, questions: [{ type: "A", name }] }), 53, host);
  });
}
