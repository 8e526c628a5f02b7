import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { newLoopMetrics } from "@cortado/client/loop";
import type { Pod, PodSpec } from "@cortado/kinds";
import { pods } from "@cortado/kinds/resources";
import { jsonLog } from "@cortado/std/log";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import {
  containerdSocket,
  startContainerd,
  type Containerd,
  type ContainerdOptions,
} from "../containerd/containerd.ts";
import { ctrImport } from "../images/importer.ts";
import { readMachine, startNode, type RunningNode } from "../node.ts";
import { openCriRuntime } from "../runtime/cri/cri-runtime.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { mountCommand } from "../volumes/mount-command.ts";
import { FakeApi, type FakeObject } from "./fake-api.ts";
import { busyboxImage, testImages } from "./images.ts";

export const nodeName = "box";

/** A containerd of the box's own, with two images, and node agents that come and go over one fake API. */
export class BoxWorld implements AsyncDisposable {
  readonly folder: string;
  readonly id: string;
  readonly api: FakeApi = new FakeApi();
  readonly #stop: AbortController = new AbortController();
  #containerd: Containerd | undefined;
  #node: RunningNode | undefined;
  #runtime: Runtime | undefined;

  constructor(place: { readonly folder: string; readonly id: string }) {
    this.folder = place.folder;
    this.id = place.id;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get node(): RunningNode {
    if (this.#node === undefined) throw new Error("no node runs");
    return this.#node;
  }

  get runtime(): Runtime {
    if (this.#runtime === undefined) throw new Error("no runtime is open");
    return this.#runtime;
  }

  get containerdOptions(): ContainerdOptions {
    return {
      dataFolder: join(this.folder, "containerd"),
      runFolder: "/run/c",
      pauseImage: "cortado.local/pause:1",
      podSubnet: "10.42.0.0/24",
      bridge: "cni0",
    };
  }

  async startContainerd(): Promise<void> {
    const log = jsonLog({ level: "info", clock: systemClock, write: (line) => void this.log.push(line) });
    this.#containerd = await startContainerd(this.containerdOptions, {
      clock: systemClock,
      log,
      signal: this.signal,
    });
    const tar = join(this.folder, "images.tar");
    writeFileSync(tar, testImages());
    await ctrImport(containerdSocket(this.containerdOptions))(tar);
  }

  get containerdPid(): number | undefined {
    return this.#containerd?.pid;
  }

  readonly log: string[] = [];

  async startNode(): Promise<void> {
    const log = jsonLog({ level: "debug", clock: systemClock, write: (line) => void this.log.push(line) });
    const metrics = newMetrics();
    this.#runtime = await openCriRuntime({
      socketPath: containerdSocket(this.containerdOptions),
      clock: systemClock,
      signal: this.signal,
    });
    await mkdir("/run/cortado", { recursive: true });
    this.#node = await startNode(
      {
        nodeName,
        dataFolder: join(this.folder, "node"),
        runFolder: "/run/cortado/pods",
        podCidr: "10.42.0.0/24",
        dns: { servers: ["10.43.0.10"], domain: "cluster.local", nodeResolv: "" },
        cgroupPrefix: this.id,
        pinnedImages: () => new Set([busyboxImage]),
      },
      {
        client: this.api.client,
        runtime: this.#runtime,
        machine: await readMachine({ bridge: "cni0" }),
        mounter: mountCommand,
        clock: systemClock,
        log,
        metrics,
        loopMetrics: newLoopMetrics(metrics),
      },
    );
  }

  async stopNode(): Promise<void> {
    await this.#node?.[Symbol.asyncDispose]();
    await this.#runtime?.[Symbol.asyncDispose]();
    this.#node = undefined;
    this.#runtime = undefined;
  }

  createPod(name: string, spec: Partial<PodSpec>, metadata: object = {}): Promise<Pod> {
    const containers = (spec.containers ?? [{ name: "main" }]).map((one) => ({
      image: busyboxImage,
      command: sleepCommand,
      ...one,
    }));
    const whole = { terminationGracePeriodSeconds: 1, ...spec, containers, nodeName };
    return this.api.client.create(
      pods,
      { metadata: { name, namespace: "n", ...metadata }, spec: whole },
      { namespace: "n", signal: this.signal },
    );
  }

  async deletePod(name: string): Promise<void> {
    if (this.api.find("pods", `n/${name}`) === undefined) return;
    await this.api.client.delete(pods, { name, namespace: "n", signal: this.signal });
    await this.until(`pod ${name} is gone`, () => this.api.find("pods", `n/${name}`) === undefined);
  }

  pod(name: string): Pod {
    return this.api.find("pods", `n/${name}`) as unknown as Pod;
  }

  events(name: string): readonly string[] {
    return this.api
      .all("events")
      .filter((event) => (event["involvedObject"] as { name?: string } | undefined)?.name === name)
      .map((event: FakeObject) => `${String(event["reason"])}: ${String(event["message"])}`);
  }

  isReady(name: string): boolean {
    return (
      this.pod(name)?.status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") ===
      true
    );
  }

  ready(name: string): Promise<void> {
    return this.until(`pod ${name} is ready`, () => this.isReady(name));
  }

  async until(what: string, reached: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
    const startMs = systemClock.monotonicMs();
    while (!(await reached())) {
      if (systemClock.monotonicMs() - startMs > withinMs)
        throw new Error(
          `not within ${withinMs} ms: ${what}\n${JSON.stringify(
            this.api.all("pods").map((one) => one["status"]),
            null,
            1,
          )}\n${this.log.slice(-20).join("\n")}`,
        );
      await systemClock.sleep(10, { signal: this.signal });
    }
  }

  async shell(pod: string, script: string): Promise<{ readonly stdout: string; readonly exitCode: number }> {
    const { uid } = this.pod(pod).metadata;
    const container = (await this.runtime.pod(uid ?? "", { signal: this.signal })).containers.find(
      (one) => one.phase === "running",
    );
    const result = await this.runtime.run(
      { id: container?.id ?? "", command: ["sh", "-c", script], timeoutMs: 10_000 },
      { signal: this.signal },
    );
    return { stdout: Buffer.from(result.stdout).toString("utf8"), exitCode: result.exitCode };
  }

  /** Ends everything in the box but this process at once, and forgets what a boot forgets. */
  async cutPower(): Promise<void> {
    await this.stopNode();
    const kept = new Set(["1", ...ancestors()]);
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && !kept.has(name));
    for (const pid of pids) execFileSync("sh", ["-c", `kill -9 ${pid} 2>/dev/null || true`]);
    await systemClock.sleep(300, { signal: this.signal });
    execFileSync("sh", [
      "-c",
      "for m in $(awk '$5 ~ /^\\/run\\/(c|netns|containerd)/ {print $5}' /proc/self/mountinfo | sort -r); do umount -l $m; done; rm -rf /run/c /run/netns/* /run/cortado /run/containerd",
    ]);
    this.#containerd = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopNode();
    await this.#containerd?.[Symbol.asyncDispose]();
    this.#stop.abort();
  }
}

export const sleepCommand: string[] = [
  "sh",
  "-c",
  "trap 'exit 0' TERM; echo begun; while :; do sleep 0.1; done",
];

function ancestors(): readonly string[] {
  const found: string[] = [];
  for (
    let pid = String(process.pid);
    pid !== "0" && pid !== "";
    pid = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? ""
  )
    found.push(pid);
  return found;
}
