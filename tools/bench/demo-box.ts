import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { request as plainRequest, Agent as PlainAgent } from "node:http";
import { Agent, request } from "node:https";
import { execFileSync } from "node:child_process";
import type { DemoWorld } from "../../tests/end-to-end/demo-world.ts";

const memoryRoots = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];

/** The box's folder in the hierarchy that counts memory. */
export function boxCgroup(world: DemoWorld): string {
  const path = `cortado-${world.id}/${world.store.name}`;
  const found = memoryRoots.map((root) => join(root, path)).find((one) => existsSync(one));
  if (found === undefined) throw new Error(`the box of demo ${world.id} has no cgroup ${path}`);
  return found;
}

/** Processes of the box, by the cgroups of its own and of its pods. */
export function boxProcesses(world: DemoWorld): readonly number[] {
  const pids = new Set<number>();
  const walk = (folder: string): void => {
    for (const line of readText(join(folder, "cgroup.procs")).split("\n"))
      if (line !== "") pids.add(Number(line));
    for (const entry of readdirSync(folder, { withFileTypes: true }))
      if (entry.isDirectory()) walk(join(folder, entry.name));
  };
  walk(boxCgroup(world));
  return [...pids];
}

export type ProcessMemory = {
  readonly pid: number;
  readonly name: string;
  readonly rssMb: number;
  readonly pssMb: number;
};

/** Proportional set size counts shared pages once over all who share them, so sums are true. */
export function processMemory(pid: number): ProcessMemory {
  const rollup = readText(`/proc/${pid}/smaps_rollup`);
  const words = readText(`/proc/${pid}/cmdline`)
    .split("\0")
    .filter((word) => word !== "" && !word.startsWith("--"));
  const short = (word: string | undefined): string =>
    (word?.includes("\n") === true ? "(inline)" : (word?.split("/").at(-1) ?? "")).slice(0, 30);
  const name =
    short(words[0]) === "node" ? `node ${short(words[1])} ${words[2] ?? ""}`.trim() : short(words[0]);
  return { pid, name, rssMb: kib(rollup, "Rss") / 1_024, pssMb: kib(rollup, "Pss") / 1_024 };
}

/** What the box's cgroup is charged with, without cache that can be dropped at once: what counts against a limit. */
export function workingSetMb(world: DemoWorld): number {
  const folder = boxCgroup(world);
  const usage = Number(
    readText(join(folder, "memory.usage_in_bytes")) || readText(join(folder, "memory.current")),
  );
  const inactive = Number(
    /^(?:total_)?inactive_file (\d+)/m.exec(readText(join(folder, "memory.stat")))?.[1] ?? 0,
  );
  return (usage - inactive) / 2 ** 20;
}

export function bytesWritten(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readText(`/proc/${pid}/io`))?.[1] ?? 0);
}

function kib(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // the process or the file is gone
  }
}

export type WatchLine = {
  readonly type: string;
  readonly object: { readonly status?: { readonly phase?: string } };
};
export type Reply = { readonly status: number; readonly text: string };

/** The API over one kept connection, as kubectl's certificates allow; kubectl itself takes longer to start than a pod. */
export class Api {
  readonly #agent: Agent;
  readonly #server: string;

  constructor(kubeconfig: string) {
    const config = JSON.parse(
      execFileSync(
        "sh",
        ["-c", `"$0" --kubeconfig "$1" config view --raw -o json`, kubectlPath(), kubeconfig],
        { encoding: "utf8" },
      ),
    ) as Kubeconfig;
    const decode = (text: string): Buffer => Buffer.from(text, "base64");
    const { cluster } = config.clusters[0] as Kubeconfig["clusters"][0];
    const { user } = config.users[0] as Kubeconfig["users"][0];
    this.#server = cluster.server;
    this.#agent = new Agent({
      keepAlive: true,
      ca: decode(cluster["certificate-authority-data"]),
      cert: decode(user["client-certificate-data"]),
      key: decode(user["client-key-data"]),
    });
  }

  send(method: string, path: string, body?: unknown): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { "content-type": "application/json" };
      const sent = request(`${this.#server}${path}`, { method, agent: this.#agent, headers }, (response) => {
        let text = "";
        response
          .setEncoding("utf8")
          .on("data", (part: string) => (text += part))
          .on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      });
      sent.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Tells each line of a watch until the callback answers true. */
  watch(path: string, seen: (event: WatchLine) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let rest = "";
      const sent = request(`${this.#server}${path}`, { agent: this.#agent }, (response) => {
        response.setEncoding("utf8").on("data", (part: string) => {
          const lines = (rest + part).split("\n");
          rest = lines.pop() ?? "";
          if (!lines.some((line) => line !== "" && seen(JSON.parse(line) as WatchLine))) return;
          resolve();
          sent.destroy();
        });
      });
      sent.on("error", reject).end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

type Kubeconfig = {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly "certificate-authority-data": string };
  }[];
  readonly users: readonly {
    readonly user: { readonly "client-certificate-data": string; readonly "client-key-data": string };
  }[];
};

let kubectl = "kubectl";
/** Sets which kubectl reads kubeconfigs. */
export function useKubectl(path: string): void {
  kubectl = path;
}
function kubectlPath(): string {
  return kubectl;
}

const keepAlive = new PlainAgent({ keepAlive: true });

/** One order over a kept connection, as a till does it. */
export function postOrder(shop: string, body: unknown): Promise<Reply> {
  return new Promise((resolve) => {
    const sent = plainRequest(
      `${shop}/api/orders`,
      { method: "POST", agent: keepAlive, headers: { "content-type": "application/json" } },
      (response) => {
        let text = "";
        response
          .setEncoding("utf8")
          .on("data", (part: string) => (text += part))
          .on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    sent.on("error", (error) => resolve({ status: 0, text: String(error) })).end(JSON.stringify(body));
  });
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
