import { createApiServer } from "@cortado/apiserver";
import { newClient, type Client } from "@cortado/client";
import { newLoopMetrics } from "@cortado/client/loop";
import { startControllers } from "@cortado/controllers";
import { startBroker } from "@cortado/mqtt";
import { startNode } from "@cortado/node";
import type { Runtime } from "@cortado/node/runtime";
import { newSimulatedRuntime } from "@cortado/node/runtime/simulated";
import { inProcessTransport } from "@cortado/program/transport";
import { startScheduler } from "@cortado/scheduler";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom, type Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { MemoryNetwork } from "@cortado/std/testing/memory-network";
import { silentLog } from "@cortado/std/testing/silent-log";
import { MemoryDisk, openMemoryStore } from "@cortado/store/memory";
import { startTelemetry, type TelemetryJournal } from "@cortado/telemetry";
import { MortalClock } from "../../clock.ts";
import { FaultyFiles, never } from "../../faults/files.ts";
import { mortal, MortalNetwork } from "../../faults/mortal.ts";
import { ANSWER_MS_MAX, DISK_MS_MAX } from "../../limits.ts";
import { watchedRuntime } from "./containers.ts";
import { storeMachine } from "./machine.ts";
import type { ChainPorts } from "./ports.ts";

export const brokerAddress = { host: "store", port: 1883 };

/** How a process of a store ends: alone, with its containers running on, or with all that is in the box. */
export type Death = "kill" | "cut";

/** What became of something that was asked of a store. */
export type Answer<Result> =
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "refused"; readonly error: StatusError }
  /** No answer came: it was done, or it was not. */
  | { readonly kind: "unknown" };

/** What a process offers while it lives. */
export type Services = { readonly client: Client; readonly journal: TelemetryJournal };

/** One store of the chain: what outlives its processes, and the process that runs now. */
export class ChainStore {
  readonly name: string;
  readonly network: MemoryNetwork = new MemoryNetwork();
  readonly files: FaultyFiles;
  readonly random: Random;
  readonly #ports: ChainPorts;
  readonly #waiting = new Set<() => void>();
  #disk = new MemoryDisk();
  #runtime: Runtime | undefined;
  #process: StoreProcess | undefined;
  #lives = 0;
  #power = { alive: true };
  /** Of a deliberately bad disk: what it held before its last commit. */
  #before: MemoryDisk | undefined;

  constructor(name: string, { seed, ...ports }: ChainPorts & { readonly seed: number }) {
    this.name = name;
    this.#ports = ports;
    this.random = seededRandom(seed);
    this.files = new FaultyFiles({ clock: ports.clock, random: seededRandom(seed + 1) });
    this.files.lies = ports.fault === "sync-lies";
  }

  get lives(): number {
    return this.#lives;
  }

  /** Undefined while the store is dark or boots. */
  get services(): Services | undefined {
    return this.#process?.services;
  }

  /** Starts a process on what is there; answers when it serves, or never, when it dies before. */
  async boot(): Promise<void> {
    const { clock, trace } = this.#ports;
    this.#lives += 1;
    this.#disk = copyOf(this.#ports.fault === "forgets-commit" ? (this.#before ?? this.#disk) : this.#disk);
    const alive = new StoreProcess();
    this.#process = alive;
    const disk = this.#disk;
    disk.beforeCommit = async () => {
      if (alive.alive) this.files.begin();
      await new Promise<void>((resolve) => void clock.after(1 + this.random.integer(DISK_MS_MAX), resolve));
      if (!alive.alive) return never();
      if (this.files.full) throw new StatusError("InsufficientStorage", "no space left on device");
      if (this.#ports.fault === "forgets-commit") this.#before = copyOf(disk);
    };
    trace.note(this.name, "boot", String(this.#lives));
    alive.services = await this.#start(alive);
    trace.note(this.name, "serves", String(this.#lives));
    for (const wake of this.#waiting) wake();
  }

  /** The process ends now, whatever it is doing. */
  die(death: Death): void {
    this.#ports.trace.note(this.name, death, String(this.#lives));
    this.#process?.die();
    this.#process = undefined;
    if (death === "kill") return;
    this.files.cutPower();
    this.#power.alive = false;
    this.#power = { alive: true };
    void this.#runtime?.[Symbol.asyncDispose]();
    this.#runtime = undefined;
    this.#ports.containers.forget(this.name);
  }

  /** Waits until the store serves. */
  async up(): Promise<Services> {
    for (;;) {
      const services = this.#process?.services;
      if (services !== undefined) return services;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** Asks the living process; an answer takes its time, and when the process dies meanwhile it never comes. */
  async ask<Result>(work: (services: Services) => Promise<Result>): Promise<Answer<Result>> {
    const services = await this.up();
    const alive = this.#process;
    if (alive?.services !== services) return { kind: "unknown" };
    return new Promise((resolve) => {
      const lost = (): void => resolve({ kind: "unknown" });
      alive.askers.add(lost);
      const answer = (given: Answer<Result>): void => {
        if (!alive.alive) return;
        this.#ports.clock.after(this.random.integer(ANSWER_MS_MAX), () => {
          alive.askers.delete(lost);
          resolve(given);
        });
      };
      work(services).then(
        (result) => answer({ kind: "done", result }),
        (error: unknown) =>
          answer(error instanceof StatusError ? { kind: "refused", error } : { kind: "unknown" }),
      );
    });
  }

  /** Rejects when the process that lives now dies: for what waits on it for long. */
  async race<Result>(work: Promise<Result>): Promise<Result | "died"> {
    const alive = this.#process;
    if (alive === undefined) return "died";
    return new Promise((resolve, reject) => {
      const died = (): void => resolve("died");
      alive.askers.add(died);
      work.then(resolve, reject).finally(() => alive.askers.delete(died));
    });
  }

  async #start(alive: StoreProcess): Promise<Services> {
    const { clock: worldClock, containers } = this.#ports;
    const clock = new MortalClock(worldClock);
    const network = new MortalNetwork(this.network, alive);
    alive.ends.push(
      () => clock.die(),
      () => network.die(),
    );
    const random = seededRandom(this.random.integer(2 ** 32));
    const files = this.files.of(alive);
    const metrics = newMetrics();
    const ports = { clock, random, log: silentLog, metrics };
    const store = await openMemoryStore({ disk: this.#disk });
    const serviceNetwork = { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 };
    const server = await createApiServer({ store, ...ports, serviceNetwork });
    const client = newClient(
      inProcessTransport(server, {
        name: "system:admin",
        groups: ["system:masters", "system:authenticated"],
      }),
    );
    const loopMetrics = newLoopMetrics(metrics);
    startControllers({ client, ...ports, loopMetrics, ...controllersOf });
    startScheduler({ client, ...ports, loopMetrics });
    const broker = await startBroker({ files, folder: "/mqtt", network, ...ports });
    await broker.listen(brokerAddress);
    const telemetry = await startTelemetry({
      files,
      folder: "/telemetry",
      store: this.name,
      ...ports,
      dialBroker: () => broker.dialLocal("telemetry"),
    });
    this.#runtime ??= newSimulatedRuntime({
      clock: worldClock,
      random: seededRandom(this.random.integer(2 ** 32)),
      podNetwork: "10.42.0",
    });
    const runtime = mortal(
      watchedRuntime(this.#runtime, { store: this.name, containers, power: this.#power }),
      alive,
    );
    await startNode(
      {
        nodeName: this.name,
        dataFolder: "/nonexistent",
        runFolder: "/nonexistent",
        podCidr: "10.42.0.0/24",
        cgroupPrefix: "simulated",
        dns: { servers: ["10.43.0.10"], domain: "cluster.local", nodeResolv: "" },
        pinnedImages: () => new Set<string>(),
      },
      { client, runtime, machine: storeMachine(this.name), ...ports, loopMetrics, mounter: noMounter },
    );
    return { client, journal: telemetry.journal };
  }
}

const controllersOf = {
  clusterCa: () => "the authority",
  clusterCidr: "10.42.0.0/16",
  localPath: { folder: "/storage", removeFolder: () => Promise.resolve() },
};

const noMounter = {
  mountTmpfs: (): Promise<never> => Promise.reject(new Error("a simulated node mounts nothing")),
  unmount: (): Promise<never> => Promise.reject(new Error("a simulated node mounts nothing")),
};

/** A process: alive until it is not, and then nothing of it has any effect. */
class StoreProcess {
  alive = true;
  services: Services | undefined;
  readonly askers: Set<() => void> = new Set();
  readonly ends: (() => void)[] = [];

  die(): void {
    this.alive = false;
    this.services = undefined;
    for (const end of this.ends) end();
    for (const lost of this.askers) lost();
    this.askers.clear();
  }
}

/** A process that died still holds the disk it had, so the next one gets a copy of what was durable. */
function copyOf(disk: MemoryDisk): MemoryDisk {
  const copy = new MemoryDisk();
  for (const [key, value] of disk.values) copy.values.set(key, value);
  copy.reserved = disk.reserved;
  return copy;
}
