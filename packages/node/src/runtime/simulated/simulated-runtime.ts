import type { Clock } from "@cortado/std/clock";
import { assert } from "@cortado/std/assert";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { containerNameLabel, podUidLabel, policyAnnotation, roleAnnotation } from "../labels.ts";
import type {
  ContainerConfig,
  ContainerUsage,
  ForwardStream,
  ProcessStreams,
  Runtime,
  RuntimeContainer,
  RuntimeImage,
  RuntimeSandbox,
} from "../runtime.ts";

export type SimulatedRuntimeOptions = {
  readonly clock: Clock;
  readonly random: Random;
  /** First three parts of the pods' addresses: "10.42.0". */
  readonly podNetwork: string;
  /** How long each stage takes at least and at most. */
  readonly stageMs?: { readonly least: number; readonly most: number };
};

/** How long a simulated container that is meant to end runs. */
const RUN_MS = { least: 500, most: 3_000 };
const IMAGE_BYTES = 1_000_000;
const SAID = "this container is simulated: no process runs in it";

type Container = { row: RuntimeContainer; readonly lines: string[]; alarm: Disposable | undefined };
type Sandbox = { row: RuntimeSandbox };

/** A runtime in memory: takes every image, runs nothing, and says so wherever a person could mistake it for a real one. */
export function newSimulatedRuntime(options: SimulatedRuntimeOptions): Runtime {
  const state = new State(options);
  const { clock } = options;
  return {
    version: "simulated://1",
    simulated: true,
    health: () => Promise.resolve({ ready: true, message: "" }),
    async runSandbox(config, { signal }) {
      await state.stage(signal);
      return state.addSandbox(
        config.metadata ?? {},
        config.linux?.securityContext?.namespaceOptions?.network === 2,
      );
    },
    stopSandbox: (id) => Promise.resolve(state.stopSandbox(id)),
    removeSandbox: (id) => Promise.resolve(state.removeSandbox(id)),
    async createContainer({ sandboxId, config }, { signal }) {
      await state.stage(signal);
      return state.addContainer(sandboxId, config);
    },
    async startContainer(id, { signal }) {
      await state.stage(signal);
      state.start(id);
    },
    stopContainer: (id) => Promise.resolve(state.exit(id, { exitCode: 143, reason: "Error" })),
    removeContainer: (id) => Promise.resolve(state.removeContainer(id)),
    rows: () => Promise.resolve(state.rows()),
    pod: (uid) => Promise.resolve(state.view(uid)),
    watch: (changed, { signal }) => state.watch(changed, signal),
    run: ({ id }) => {
      state.running(id);
      return Promise.resolve({
        stdout: new TextEncoder().encode(`${SAID}\n`),
        stderr: new Uint8Array(0),
        exitCode: 0,
      });
    },
    exec: ({ id }) => Promise.resolve(sayAndEnd(state.running(id))),
    attach: ({ id }) => Promise.resolve(sayAndEnd(state.running(id))),
    forward: (): Promise<ForwardStream> =>
      Promise.reject(
        new StatusError(
          "NotImplemented",
          "this node is simulated: nothing listens in its pods, so no port can be forwarded",
        ),
      ),
    logs: (id) => state.containers.get(id)?.lines ?? [],
    reopenLog: () => Promise.resolve(),
    ...imageParts(state, clock),
    [Symbol.asyncDispose]: () => Promise.resolve(state.dispose()),
  };
}

function imageParts(
  state: State,
  clock: Clock,
): Pick<Runtime, "images" | "image" | "pull" | "removeImage" | "imageFolder" | "usage"> {
  return {
    images: () => Promise.resolve([...state.images.values()]),
    image: (name) => Promise.resolve(state.images.get(name)),
    async pull({ image }, { signal }) {
      await state.stage(signal);
      state.images.set(image, {
        id: image,
        tags: [image],
        digests: [],
        sizeBytes: IMAGE_BYTES,
        uid: undefined,
        username: "",
        pinned: false,
      });
      return image;
    },
    removeImage: (name) => Promise.resolve(void state.images.delete(name)),
    imageFolder: () => Promise.resolve(undefined),
    usage: () => Promise.resolve(state.usage(clock.nowMs())),
  };
}

class State {
  readonly containers = new Map<string, Container>();
  readonly sandboxes = new Map<string, Sandbox>();
  readonly images = new Map<string, RuntimeImage>();
  readonly #options: SimulatedRuntimeOptions;
  readonly #watchers = new Set<() => void>();
  #addresses = 1;

  constructor(options: SimulatedRuntimeOptions) {
    this.#options = options;
  }

  stage(signal: AbortSignal): Promise<void> {
    return this.#options.clock.sleep(this.#between(this.#options.stageMs ?? { least: 5, most: 50 }), {
      signal,
    });
  }

  addSandbox(
    metadata: {
      readonly name?: string;
      readonly namespace?: string;
      readonly uid?: string;
      readonly attempt?: number;
    },
    onNode: boolean,
  ): string {
    const id = this.#id();
    const { name = "", namespace = "", uid = "", attempt = 0 } = metadata;
    const clash = [...this.sandboxes.values()].some(
      ({ row }) => row.podUid === uid && row.attempt === attempt,
    );
    if (clash)
      throw new StatusError(
        "AlreadyExists",
        `a sandbox of pod ${namespace}/${name}, attempt ${attempt}, is there already`,
      );
    const row = {
      id,
      podUid: uid,
      podName: name,
      podNamespace: namespace,
      attempt,
      ready: true,
      createdMs: this.#options.clock.nowMs(),
      ips: onNode ? [] : [this.#address()],
    };
    this.sandboxes.set(id, { row });
    return id;
  }

  stopSandbox(id: string): void {
    const sandbox = this.sandboxes.get(id);
    if (sandbox === undefined) return;
    for (const { row } of this.containers.values())
      if (row.sandboxId === id) this.exit(row.id, { exitCode: 137, reason: "Error" });
    sandbox.row = { ...sandbox.row, ready: false, ips: [] };
    this.#tell();
  }

  removeSandbox(id: string): void {
    this.stopSandbox(id);
    for (const { row } of this.containers.values()) if (row.sandboxId === id) this.removeContainer(row.id);
    this.sandboxes.delete(id);
  }

  addContainer(sandboxId: string, config: ContainerConfig): string {
    if (this.sandboxes.get(sandboxId)?.row.ready !== true)
      throw new StatusError("NotFound", `sandbox ${sandboxId} is not running`);
    const id = this.#id();
    const { labels = {}, annotations = {}, metadata = {}, image = {} } = config;
    const row: RuntimeContainer = {
      id,
      sandboxId,
      podUid: labels[podUidLabel] ?? "",
      name: labels[containerNameLabel] ?? metadata.name ?? "",
      attempt: metadata.attempt ?? 0,
      phase: "created",
      annotations,
      image: image.image ?? "",
      imageRef: image.image ?? "",
      createdMs: this.#options.clock.nowMs(),
      startedMs: 0,
      finishedMs: 0,
      exitCode: 0,
      reason: "",
      message: "",
    };
    this.containers.set(id, { row, lines: [], alarm: undefined });
    return id;
  }

  start(id: string): void {
    const container = this.#need(id);
    const { clock } = this.#options;
    if (container.row.phase !== "created")
      throw new StatusError("Conflict", `container ${id} was started before`);
    container.row = { ...container.row, phase: "running", startedMs: clock.nowMs() };
    container.lines.push(`${new Date(clock.nowMs()).toISOString()} stdout F ${SAID}`);
    const endsByItself =
      container.row.annotations[roleAnnotation] === "init" ||
      (container.row.annotations[policyAnnotation] ?? "Always") !== "Always";
    const sidecar = container.row.annotations[roleAnnotation] === "sidecar";
    if (endsByItself && !sidecar)
      container.alarm = clock.after(this.#between(RUN_MS), () =>
        this.exit(id, { exitCode: 0, reason: "Completed" }),
      );
    this.#tell();
  }

  exit(id: string, end: { readonly exitCode: number; readonly reason: string }): void {
    const container = this.containers.get(id);
    if (container?.row.phase !== "running") return;
    container.alarm?.[Symbol.dispose]();
    container.row = { ...container.row, phase: "exited", finishedMs: this.#options.clock.nowMs(), ...end };
    this.#tell();
  }

  removeContainer(id: string): void {
    this.exit(id, { exitCode: 137, reason: "Error" });
    this.containers.delete(id);
  }

  running(id: string): RuntimeContainer {
    const { row } = this.#need(id);
    if (row.phase !== "running") throw new StatusError("Conflict", `container ${row.name} is not running`);
    return row;
  }

  rows() {
    const sandboxes = [...this.sandboxes.values()].map(({ row }) => ({
      id: row.id,
      podUid: row.podUid,
      phase: row.ready ? "ready" : "notready",
      kind: "sandbox" as const,
    }));
    const containers = [...this.containers.values()].map(({ row }) => ({
      id: row.id,
      podUid: row.podUid,
      phase: row.phase as string,
      kind: "container" as const,
    }));
    return [...sandboxes, ...containers];
  }

  view(uid: string) {
    const sandboxes = [...this.sandboxes.values()].map(({ row }) => row).filter((row) => row.podUid === uid);
    const containers = [...this.containers.values()]
      .map(({ row }) => row)
      .filter((row) => row.podUid === uid);
    return {
      sandboxes: sandboxes.toSorted((first, second) => second.attempt - first.attempt),
      containers: containers.toReversed(),
    };
  }

  watch(changed: () => void, signal: AbortSignal): Promise<void> {
    this.#watchers.add(changed);
    return new Promise((resolve) => {
      const stop = (): void => {
        this.#watchers.delete(changed);
        resolve();
      };
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    });
  }

  usage(nowMs: number): readonly ContainerUsage[] {
    return [...this.containers.values()]
      .filter(({ row }) => row.phase === "running")
      .map(({ row }) => ({
        id: row.id,
        name: row.name,
        podUid: row.podUid,
        atMs: nowMs,
        cpuNanoseconds: 0n,
        memoryWorkingSetBytes: 0,
        memoryUsageBytes: 0,
        writableLayerBytes: 0,
      }));
  }

  dispose(): void {
    for (const { alarm } of this.containers.values()) alarm?.[Symbol.dispose]();
  }

  #need(id: string): Container {
    const container = this.containers.get(id);
    if (container === undefined) throw new StatusError("NotFound", `container ${id} is not there`);
    return container;
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #between({ least, most }: { readonly least: number; readonly most: number }): number {
    return least + this.#options.random.integer(most - least + 1);
  }

  #id(): string {
    return Array.from(this.#options.random.bytes(32), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // Addresses go round; one that a living sandbox has is passed over.
  #address(): string {
    const taken = new Set([...this.sandboxes.values()].flatMap(({ row }) => row.ips));
    for (let tries = 0; tries < 253; tries += 1) {
      this.#addresses = this.#addresses >= 254 ? 2 : this.#addresses + 1;
      const ip = `${this.#options.podNetwork}.${this.#addresses}`;
      if (!taken.has(ip)) return ip;
    }
    assert(taken.size < 253, "a node holds fewer pods than its network has addresses");
    throw new StatusError("ServiceUnavailable", `no address is free in ${this.#options.podNetwork}.0/24`);
  }
}

function sayAndEnd(container: RuntimeContainer): ProcessStreams {
  return {
    handle(events) {
      events.stdout(new TextEncoder().encode(`${SAID} (${container.name})\r\n`));
      events.ended({ metadata: {}, status: "Success" });
    },
    writeStdin: () => undefined,
    endStdin: () => undefined,
    resize: () => undefined,
    pause: () => undefined,
    resume: () => undefined,
    destroy: () => undefined,
  };
}
