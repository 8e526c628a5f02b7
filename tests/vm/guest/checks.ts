// Runs inside the virtual machine, on bare Node: looks at the store from within and says one line for each check on the console.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CheckName } from "./check-names.ts";

const cgroups = "/sys/fs/cgroup";
const kubeconfigFile = "/root/kubeconfig";
/** Long: the emulated machine is ten to forty times slower than a real one, and the test outside has its own end. */
const WAIT_MS = 300_000;

type State = {
  readonly running?: object;
  readonly terminated?: { readonly reason: string; readonly exitCode: number };
};
/** What of the API's objects is looked at, whichever they are. */
type Item = {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid: string };
  readonly status?: {
    readonly phase?: string;
    readonly isolation?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly containerID?: string; readonly state: State }[];
  };
  /** Of metrics. */
  readonly containers?: readonly { readonly usage: { readonly cpu: string; readonly memory: string } }[];
};
type Kubeconfig = {
  readonly clusters: readonly {
    readonly cluster: Readonly<Record<"server" | "certificate-authority-data", string>>;
  }[];
  readonly users: readonly {
    readonly user: Readonly<Record<"client-certificate-data" | "client-key-data", string>>;
  }[];
};
type Reply = { readonly status: number; readonly text: string };

await check("cgroups are version 2 and nothing else", () => {
  const mounted = readFileSync("/proc/mounts", "utf8").match(/^\S+ \S+ cgroup2? /gm) ?? [];
  return mounted.length === 1 && (mounted[0] as string).endsWith(" cgroup2 ")
    ? undefined
    : mounted.join(", ");
});
await check("the store is ready", async () => {
  await until("a kubeconfig", () => existsSync(kubeconfigFile));
  await until("/readyz", async () => (await api("GET", "/readyz")).status === 200);
});
await check("the node is Ready", async () => {
  await until("condition Ready", async () => isTrue(await get("/api/v1/nodes/store-vm"), "Ready"));
});
await createPods();
await check("a container over its memory limit is OOMKilled with 137", async () => {
  const ended = await until("its end", async () => (await containerState("bomb")).terminated);
  return ended.reason === "OOMKilled" && ended.exitCode === 137 ? undefined : JSON.stringify(ended);
});
const pod = await podFolders("limited");
await check("cpu, memory and pids limits stand in the pod's cgroup files", () =>
  differences([
    [join(pod.folder, "memory.max"), "67108864"],
    [join(pod.folder, "pids.max"), "4096"],
    [join(pod.container, "memory.max"), "67108864"],
    [join(pod.container, "cpu.max"), "10000 100000"],
  ]),
);
await check("the cpu limit slows the pod down", async () => {
  const throttled = (): number =>
    Number(/^nr_throttled (\d+)/m.exec(read(join(pod.container, "cpu.stat")))?.[1] ?? 0);
  await until("a throttled period", () => throttled() > 0);
});
await check("the pods' usage is measured", async () => {
  const usage = await until("metrics of the pod", async () => {
    const items = await list("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods");
    return items.find((one) => one.metadata.name === "limited")?.containers?.[0]?.usage;
  });
  return Number.parseInt(usage.memory, 10) > 0 && Number.parseFloat(usage.cpu) > 0
    ? undefined
    : JSON.stringify(usage);
});
await check("a removed pod leaves no cgroup", async () => {
  for (const name of ["limited", "bomb"])
    await api("DELETE", `/api/v1/namespaces/default/pods/${name}?gracePeriodSeconds=1`);
  await until("the folder's end", () => !existsSync(pod.folder));
});
bring("00-namespace", "functions");
await check("functions say cgroup v2", async () => {
  const isolation = await until("a function's status", async () => {
    const items = await list("/apis/openfaas.com/v1/namespaces/openfaas-fn/functions");
    return items.map((one) => one.status?.isolation).find((text) => text !== undefined);
  });
  return isolation.includes("cgroup v2: memory,pids,cpu") ? undefined : isolation;
});
if (!readFileSync("/proc/cmdline", "utf8").includes("cortado.heavy=1")) process.exit(0);
await check("a function answers under its limits", async () => {
  const path = "/function/temperature-check";
  const socketPath = "/run/sockets/gateway.sock";
  let last: Reply = { status: 0, text: "never asked" };
  const answers = async (): Promise<boolean> => {
    last = await call({ socketPath, path, method: "POST" }, "97.4").catch((error: unknown) => failed(error));
    return last.status === 200;
  };
  if (!(await until("a 200", answers, 240_000).catch(() => false))) return `${last.status} ${last.text}`;
  if (!last.text.startsWith("Warning")) return last.text;
  const parent = join(cgroups, "cortado", "functions");
  const limited = readdirSync(parent, { withFileTypes: true })
    .filter((one) => one.isDirectory())
    .map(({ name }) =>
      ["memory.max", "pids.max", "cpu.max", "cgroup.procs"].map((file) => read(join(parent, name, file))),
    )
    .filter(
      ([memory, pids, cpu, processes]) =>
        /^\d+$/.test(memory ?? "") && /^\d+$/.test(pids ?? "") && /^\d+ /.test(cpu ?? "") && processes !== "",
    );
  return limited.length > 0 ? undefined : `no child of ${parent} has limits and a process`;
});
await check("the shop's pods are Ready", async () => {
  const words = [
    "-a",
    "/run/cortado/containerd/c.sock",
    "-n",
    "k8s.io",
    "images",
    "import",
    "/opt/cortado/coffee-shop.tar",
  ];
  execFileSync("ctr", words, { stdio: "ignore" });
  console.log(`# shop imported, ${read("/proc/uptime").split(" ")[0]} s`);
  bring("ingress", "inventory", "order", "payment");
  await until("all pods", async () => {
    const items = await list("/api/v1/namespaces/coffee-shop/pods");
    return items.length >= 3 && items.every((one) => one.status?.phase === "Running" && isTrue(one, "Ready"));
  });
});
await check("an order answers 201 through the ingress", async () => {
  const order = {
    id: "0b7a4c1e-5a1f-4a51-9d55-2b7a3c1d9e10",
    items: [{ sku: "latte", quantity: 1 }],
    payment: { method: "card", token: "tok_visa" },
  };
  const ingress = {
    host: "100.64.0.2",
    port: 80,
    path: "/api/orders",
    method: "POST",
    headers: { "content-type": "application/json" },
  };
  let last: Reply = { status: 0, text: "never asked" };
  const taken = await until(
    "a 201",
    async () => {
      last = await call(ingress, JSON.stringify(order)).catch((error: unknown) => failed(error));
      return last.status === 201 ? last : undefined;
    },
    60_000,
  ).catch(() => undefined);
  return taken === undefined ? `${last.status} ${last.text}` : undefined;
});
/** Puts manifests where the store follows them. */
function bring(...names: readonly string[]): void {
  for (const name of names)
    copyFileSync(`/opt/cortado/manifests/${name}.yaml`, `/var/lib/cortado/server/manifests/${name}.yaml`);
}

/** Says "ok NAME", or "not ok NAME why" with what helps to find out. */
async function check(
  name: CheckName,
  look: () => Promise<string | undefined | void> | string | undefined,
): Promise<void> {
  let why: string | undefined;
  try {
    why = (await look()) ?? undefined;
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  console.log(why === undefined ? `ok ${name}` : `not ok ${name}: ${why.replaceAll("\n", " ")}`);
  console.log(`# ${read("/proc/uptime").split(" ")[0]} s after the kernel's start`);
  if (why !== undefined) await explain();
}

async function explain(): Promise<void> {
  const items = await list("/api/v1/pods").catch((): readonly Item[] => []);
  for (const { metadata, status } of items)
    console.log(`# ${metadata.namespace}/${metadata.name} ${JSON.stringify(status).slice(0, 900)}`);
  const lines = read("/var/log/cortado.log").split("\n");
  const loud = lines.filter((line) => /"level":"(warn|error)"|^[^{]/.test(line));
  for (const line of [...loud.slice(-25), ...lines.slice(-8)]) console.log(`# ${line.slice(0, 600)}`);
}

async function createPods(): Promise<void> {
  // A pod that comes earlier waits for all archives, the shop's too.
  await until("the image of the checks", () =>
    read("/var/log/cortado.log").includes('"01-checks.tar"'),
  ).catch(() => undefined);
  const container = { name: "main", image: "cortado.local/checks:1", imagePullPolicy: "IfNotPresent" };
  const limits = (cpu: string, memory: string): object => ({
    limits: { cpu, memory },
    requests: { cpu, memory },
  });
  const wanted = [
    {
      name: "bomb",
      container: {
        ...container,
        command: ["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"],
        resources: limits("500m", "48Mi"),
      },
    },
    {
      name: "limited",
      container: {
        ...container,
        command: ["sh", "-c", "while :; do :; done"],
        resources: limits("100m", "64Mi"),
      },
    },
  ];
  for (const one of wanted) {
    const spec = {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      containers: [one.container],
    };
    const made = await api("POST", "/api/v1/namespaces/default/pods", {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: one.name },
      spec,
    });
    if (made.status !== 201) console.log(`# pod ${one.name}: ${made.status} ${made.text.slice(0, 500)}`);
  }
}

async function containerState(name: string): Promise<State> {
  const { status } = await get(`/api/v1/namespaces/default/pods/${name}`);
  return status?.containerStatuses?.[0]?.state ?? {};
}

/** The cgroups of a running pod and of its one container: Guaranteed pods stand right below the prefix. */
async function podFolders(name: string): Promise<{ readonly folder: string; readonly container: string }> {
  const none = { folder: "/none", container: "/none" };
  return until(`pod ${name} running`, async () => {
    const { metadata, status } = await get(`/api/v1/namespaces/default/pods/${name}`);
    const { containerID, state } = status?.containerStatuses?.[0] ?? {};
    if (containerID === undefined || state?.running === undefined) return undefined;
    const folder = join(cgroups, "cortado", `pod${metadata.uid}`);
    return { folder, container: join(folder, containerID.replace(/^.*:\/\//, "")) };
  }).catch(() => none);
}

function differences(expected: readonly (readonly [string, string])[]): string | undefined {
  const wrong = expected.filter(([path, text]) => read(path) !== text);
  return wrong.length === 0
    ? undefined
    : wrong.map(([path, text]) => `${path} is ${JSON.stringify(read(path))} and not ${text}`).join(", ");
}

function isTrue({ status }: Item, type: string): boolean {
  return (status?.conditions ?? []).some((one) => one.type === type && one.status === "True");
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

async function until<Found>(
  what: string,
  look: () => Promise<Found> | Found,
  withinMs = WAIT_MS,
): Promise<NonNullable<Exclude<Found, false>>> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = await Promise.resolve(look()).catch(() => undefined);
    if (found !== undefined && found !== null && found !== false)
      return found as NonNullable<Exclude<Found, false>>;
    if (performance.now() > endMs) throw new Error(`not within ${withinMs / 1_000} s: ${what}`);
    await sleep(1_000); // each look costs the emulated machine more than it costs a real one
  }
}

async function get(path: string): Promise<Item> {
  return JSON.parse((await api("GET", path)).text) as Item;
}

async function list(path: string): Promise<readonly Item[]> {
  return (JSON.parse((await api("GET", path)).text) as { readonly items?: readonly Item[] }).items ?? [];
}

function api(method: string, path: string, body?: object): Promise<Reply> {
  const { clusters, users } = JSON.parse(readFileSync(kubeconfigFile, "utf8")) as Kubeconfig;
  const [{ cluster } = { cluster: undefined }, { user } = { user: undefined }] = [clusters[0], users[0]];
  if (cluster === undefined || user === undefined)
    throw new Error(`${kubeconfigFile} names no cluster and user`);
  const bytes = (text: string): Buffer => Buffer.from(text, "base64");
  const { hostname, port } = new URL(cluster.server);
  const tls = {
    ca: bytes(cluster["certificate-authority-data"]),
    cert: bytes(user["client-certificate-data"]),
    key: bytes(user["client-key-data"]),
  };
  return call(
    { hostname, port, path, method, headers: { "content-type": "application/json" }, ...tls },
    body === undefined ? undefined : JSON.stringify(body),
  );
}

function call(options: RequestOptions, body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const send = "ca" in options ? httpsRequest : httpRequest;
    const request = send({ ...options, timeout: 60_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error("no answer within 60 s")));
    request.on("error", reject);
    request.end(body);
  });
}

function failed(error: unknown): Reply {
  return { status: 0, text: String(error) };
}
