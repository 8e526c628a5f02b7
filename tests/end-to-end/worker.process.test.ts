import assert from "node:assert/strict";
import { createServer } from "node:https";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, type Ran } from "../clients/clients.ts";
import { until } from "./demo-world.ts";
import { podOn, WorkerProcesses } from "./worker-processes.ts";

// A server and its agents as processes of their own, with simulated pods, seen by stock kubectl.
let all: WorkerProcesses;
before(async () => {
  all = await WorkerProcesses.start();
  const more = [
    "--node-label",
    "aisle=2",
    "--node-taint",
    "cold=very:PreferNoSchedule",
    "--kubelet-arg",
    "max-pods=9",
  ];
  all.startAgent("till", ...more);
  await all.untilReady("till");
});
after(() => all[Symbol.asyncDispose]());

const phaseOf = (name: string): Promise<Ran> => all.ask("get", "pod", name, "-o=jsonpath={.status.phase}");

test("the node is there as it was told to be, with addresses of its own for pods", async () => {
  const wide = await all.told("get", "nodes", "-o", "wide");
  assert.match(wide, /^counter\s+Ready\s+control-plane\s/m);
  assert.match(wide, /^till\s+Ready\s+<none>\s+\d+s\s+v1\.36\.\S+\s+\d+\.\d+\.\d+\.\d+\s/m);
  const { metadata, spec, status } = JSON.parse(await all.told("get", "node", "till", "-o", "json"));
  assert.equal(metadata.labels.aisle, "2");
  assert.equal(spec.podCIDR, "10.42.1.0/24");
  assert.equal(status.capacity.pods, "9");
  assert.deepEqual(
    spec.taints.map(({ key, value, effect }: Record<string, string>) => `${key}=${value}:${effect}`),
    ["cold=very:PreferNoSchedule"],
    "it is ready, and has no other taint",
  );
  assert.equal(
    JSON.parse(await all.told("get", "node", "counter", "-o", "json")).spec.podCIDR,
    "10.42.0.0/24",
  );
});

test("pods run on it, with what they mount, and are reached through its tunnel", async () => {
  await all.apply(
    { apiVersion: "v1", kind: "Secret", metadata: { name: "keys" }, stringData: { key: "k" } },
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "words" }, data: { a: "b" } },
    podOn("baker", "till", {
      containers: [{ name: "c", image: "i", envFrom: [{ secretRef: { name: "keys" } }] }],
      volumes: [{ name: "v", configMap: { name: "words" } }],
    }),
  );
  await all.untilRunning("baker");
  assert.match(await all.told("get", "pod", "baker", "-o", "wide"), /\s10\.42\.1\.\d+\s+till\s/);
  assert.match(await all.told("logs", "baker"), /simulated/);
  const exec = await all.ask("exec", "baker", "--", "echo", "good", "morning");
  assert.match(`${exec.out}${exec.err}`, /simulated|good morning/);
  const top = await until(
    "both nodes' use",
    async () => {
      const { code, out } = await all.ask("top", "nodes");
      return code === 0 && /^counter\s/m.test(out) && /^till\s/m.test(out) ? out : undefined;
    },
    20_000,
  );
  assert.match(top, /^till\s+\d+m\s/m);
  assert.match(await all.told("top", "pods"), /^baker\s/m);
  assert.match(await all.told("describe", "pod", "baker"), /Scheduled.*to till[^]*Started.*kubelet/);
});

test("a pod of a missing ConfigMap says so, and starts when it is there", async () => {
  await all.apply(
    podOn("waiter", "till", {
      volumes: [{ name: "v", configMap: { name: "later" } }],
      containers: [{ name: "c", image: "i", envFrom: [{ configMapRef: { name: "later" } }] }],
    }),
  );
  await until(
    "the event",
    async () => /configmap \\?"later\\?" not found/.test(await all.told("get", "events")),
    20_000,
  );
  await all.apply({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "later" }, data: {} });
  await until("the pod", async () => (await phaseOf("waiter")).out === "Running", 60_000);
});

const refused = async (
  words: readonly string[],
  says: RegExp,
  env: Record<string, string> = {},
): Promise<void> => {
  const { code, err, out } = await all.runAgent(words, env);
  assert.equal(code, 1, `${out}${err}`);
  assert.match(err, says);
  assert.doesNotMatch(`${out}${err}`, new RegExp(secretOf(all.token)), "the secret is nowhere");
};
const secretOf = (token: string): string => token.slice(token.lastIndexOf(":") + 1);
const withToken = (token: string, name = "stranger"): readonly string[] =>
  all.agentWords(name, "--server", all.url, "--token", token);

test("a wrong hash, a wrong password and a wrong server are refused, each with what to do", async () => {
  const secret = secretOf(all.token);
  const other = all.token.replace(/^K10.{8}/, "K1000000000");
  await refused(
    withToken(other),
    /authority of https:\S+ has the hash [0-9a-f]{64}, and the token is for 00000000.*nothing secret was sent/,
  );
  await refused(
    withToken(`${all.token.slice(0, -secret.length)}wrong`),
    /does not take this token; print the right one there with cortado token/,
  );
  await refused(withToken("wrong"), /does not take this token/);
  await refused(withToken("abcdef.0123456789abcdef"), /does not take this token/);
  await refused(withToken("K10abc::server:x"), /after K10 come the 64 hex digits/);
  await refused(
    all.agentWords("stranger", "--server", "http://127.0.0.1:1", "--token", "x"),
    /is no URL of the form https:/,
  );
  await refused(
    all.agentWords("stranger", "--server", all.url),
    /an agent joins with the server's token; print it there with cortado token/,
  );
  await refused(all.agentWords("stranger", "--token", "x"), /--server https:\/\/HOST:6443 or K3S_URL/);
  assert.equal((await all.ask("get", "node", "stranger")).code, 1);
});

test("a server that is none says so, and sees nothing of the token", async () => {
  const seen: string[] = [];
  const folder = join(all.folder, "server", "server", "tls");
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  const tls = { cert: read("serving-kube-apiserver.crt"), key: read("serving-kube-apiserver.key") };
  await using stack = new AsyncDisposableStack();
  const server = createServer(tls, (request, response) => {
    seen.push(`${request.url} ${request.headers.authorization}`);
    response.statusCode = 404;
    response.end("<html>nothing here</html>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stack.defer(() => void server.close());
  const { port } = server.address() as { port: number };
  const words = all.agentWords("stranger", "--server", `https://127.0.0.1:${port}`, "--token", all.token);
  await refused(words, /answers 404 at \/cacerts: it is not the server of a cluster/);
  assert.deepEqual(seen, ["/cacerts undefined"]);
});

test("a second machine of the same name is refused, and one that takes the server's own name", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cortado-twin-"));
  try {
    const words = [
      "agent",
      "--data-dir",
      folder,
      "--runtime",
      "simulated",
      "--server",
      all.url,
      "--token",
      all.token,
    ];
    await refused(
      [...words, "--node-name", "till"],
      /a machine with another password joined as node till before; join with another --node-name, or.*kubectl delete node till/,
    );
    await refused([...words, "--node-name", "counter"], /counter is the server's own node/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("the environment and a file of K3s are understood, the short token too; K3s's other flags are refused by name", async () => {
  const file = join(all.folder, "token");
  writeFileSync(file, `${secretOf(all.token)}\n`);
  all.spawn("short", all.agentWords("short", "--server", all.url, "--token-file", file));
  await all.untilReady("short");
  assert.match(all.log("short"), /the token is short: it does not say which server is meant/);
  await all.end("short", "SIGTERM");
  await refused(
    all.agentWords("stranger", "--docker"),
    /--docker of K3s is not offered: the agent runs a containerd of its own/,
  );
  const env = { K3S_URL: all.url, K3S_TOKEN: "wrong" };
  await refused(
    all.agentWords("stranger", "--disable-apiserver-lb"),
    /--disable-apiserver-lb of K3s changes nothing here[^]*does not take this token/,
    env,
  );
});

test("a bootstrap token lets in until it has ended", async () => {
  const token = (id: string, expiration: string): object => ({
    ...{ apiVersion: "v1", kind: "Secret", type: "bootstrap.kubernetes.io/token" },
    metadata: { name: `bootstrap-token-${id}`, namespace: "kube-system" },
    stringData: {
      "token-id": id,
      "token-secret": "0123456789abcdef",
      "usage-bootstrap-authentication": "true",
      expiration,
    },
  });
  await all.apply(token("aaaaaa", "2020-01-01T00:00:00Z"), token("bbbbbb", "2999-01-01T00:00:00Z"));
  await refused(withToken("aaaaaa.0123456789abcdef"), /does not take this token/);
  const hash = all.token.slice(0, all.token.indexOf("::") + 2);
  all.spawn(
    "guest",
    all.agentWords("guest", "--server", all.url, "--token", `${hash}bbbbbb.0123456789abcdef`),
  );
  await all.untilReady("guest");
  await all.end("guest", "SIGTERM");
  await all.told("delete", "node", "guest", "short");
});

test("with the certificate of a node nobody reads what another's pods have", async () => {
  const pem = readFileSync(join(all.folder, "till", "agent", "client-kubelet.pem"), "utf8");
  const at = pem.indexOf("-----BEGIN PRIVATE KEY-----");
  const [cert, key] = [join(all.folder, "rogue.crt"), join(all.folder, "rogue.key")];
  writeFileSync(cert, pem.slice(0, at));
  writeFileSync(key, pem.slice(at), { mode: 0o600 });
  const rogue = (...words: readonly string[]): Promise<Ran> =>
    run(all.kubectl, [
      ...["--kubeconfig", "/dev/null", "--server", all.url],
      ...["--certificate-authority", join(all.folder, "server", "server", "tls", "server-ca.crt")],
      ...["--client-certificate", cert, "--client-key", key, ...words],
    ]);
  await all.apply({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "till-of-others" },
    stringData: { a: "b" },
  });
  assert.equal((await rogue("auth", "whoami")).code, 0);
  assert.equal((await rogue("get", "secret", "keys")).code, 0, "a pod of its own uses it");
  for (const words of [
    "get secret till-of-others",
    "get secrets -A",
    "get pods -A",
    "get node counter",
    "label node till node-role.kubernetes.io/master=true",
    "taint node till cold-",
    "delete node till",
    "create token default",
    "exec baker -- true",
    "get secret till.node-password.k3s -n kube-system",
  ]) {
    const { code, err } = await rogue(...words.split(" "));
    assert.equal(code, 1, words);
    assert.match(err, /forbidden/i, words);
  }
});

test("the server away: the agent stays, and all is well when it is back; an agent that starts meanwhile waits for it", async () => {
  await all.end("server", "SIGKILL");
  await all.end("till", "SIGKILL");
  all.startAgent("till");
  await until(
    "the agent to start without its server",
    () => all.log("till").includes("starting with what it said before"),
    20_000,
  );
  await all.startServer();
  await all.untilReady("till");
  await all.apply(podOn("returned", "till"));
  await all.untilRunning("returned");
  const words = ["logs", "returned"];
  await until("its tunnel", async () => (await all.ask(...words)).code === 0, 20_000);
});

test("drain and uncordon are stock kubectl's", async () => {
  await all.told(
    "drain",
    "till",
    "--force",
    "--ignore-daemonsets",
    "--delete-emptydir-data",
    "--timeout=60s",
  );
  assert.match(await all.told("get", "nodes"), /^till\s+Ready,SchedulingDisabled/m);
  assert.equal((await phaseOf("returned")).code, 1);
  await all.told("uncordon", "till");
});

test("a deleted node takes its pods and its password along; another machine may then have the name", async () => {
  await all.apply(podOn("last", "till"));
  await all.untilRunning("last");
  await all.end("till", "SIGKILL");
  await all.told("delete", "node", "till");
  await until("its pods to go", async () => (await phaseOf("last")).code === 1, 20_000);
  await until(
    "its password to go",
    async () => (await all.ask("get", "secret", "till.node-password.k3s", "-n", "kube-system")).code === 1,
    20_000,
  );
  rmSync(join(all.folder, "till"), { recursive: true, force: true });
  all.startAgent("till");
  await all.untilReady("till");
});
