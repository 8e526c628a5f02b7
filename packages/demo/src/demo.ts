import assert from "node:assert/strict";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { messageOf, StatusError } from "@cortado/std/status";
import { Box, cgroupOf, type Store } from "./box.ts";
import { killNow, startTimeOf, waitFor } from "./command.ts";
import { serveControl, type Action } from "./control.ts";
import { freePorts, openDoor } from "./doors.ts";
import { greeting } from "./greeting.ts";
import { DemoHub, HUB, type HubPlan } from "./hub.ts";
import { ACQUIRER_PORT, BOOT_MS_MAX, LOOK_MS, READY_MS_MAX, WAN_PREFIX } from "./limits.ts";
import { PlainProcess } from "./plain-process.ts";
import { allPodsReady, answers, answersReady } from "./questions.ts";
import {
  readState,
  replaceFile,
  type DemoFile,
  type DemoState,
  type StoreEntry,
  type StorePorts,
} from "./state.ts";
import { endStore, removeLeftovers, sweep } from "./sweep.ts";
import { startWan } from "./wan.ts";

export type { HubPlan } from "./hub.ts";

/** What `cortado server` is told for one store of the demo. */
export type StorePlan = {
  readonly name: string;
  readonly dataDir: string;
  /** Holds api.sock, mqtt.sock, gateway.sock and shop.sock. */
  readonly socketDir: string;
  readonly kubeconfig: string;
  /** What the kubeconfig says the server is: the door on this machine. */
  readonly apiUrl: string;
  readonly runtime: "containerd" | "simulated";
  readonly cgroup: string;
  readonly acquirerUrl: string;
  /** As the store reaches the hub. */
  readonly hubUrl: string;
};

export type DemoOptions = {
  /** `.cortado`, absolute. */
  readonly folder: string;
  readonly socketsRoot: string;
  readonly runtime: "containerd" | "simulated";
  /** Said when the runtime is simulated. */
  readonly because?: string;
  readonly stores: readonly string[];
  /** `token` is what the hub's ClusterRegistrationToken gave. */
  readonly serverCommand: (plan: StorePlan, token: string) => readonly string[];
  readonly hubCommand: (plan: HubPlan) => readonly string[];
  readonly acquirerCommand: (options: { readonly host: string; readonly port: number }) => readonly string[];
  /** Called before a store's first boot of this run: puts images and manifests into its data folder. */
  readonly furnish: (plan: StorePlan) => Promise<void>;
  readonly newId: () => string;
  readonly say: (line: string) => void;
  readonly status: (line: string) => void;
  /** Aborts when the demo is to end. */
  readonly signal: AbortSignal;
};

type Running = {
  readonly store: Store;
  readonly plan: StorePlan;
  readonly ports: StorePorts;
  uplink: "up" | "down";
  /** On the simulated runtime: the open door to the hub. */
  door: AsyncDisposable | undefined;
};

/** Brings a demo up, keeps `demo.json` true while it runs, and ends it when the signal aborts. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const found = await readState(options.folder);
  if (found !== undefined) await sweep(options, found);
  const demo = new Demo(
    options,
    found ?? { format: 1, id: options.newId(), ports: {}, uplinks: {}, processes: [] },
  );
  try {
    await demo.start();
    await demo.watch();
  } finally {
    await demo.end();
  }
}

class Demo {
  readonly #options: DemoOptions;
  readonly #state: DemoState;
  readonly #stores: Running[] = [];
  readonly #open = new AsyncDisposableStack();
  readonly #sockets: string;
  #hub: DemoHub | undefined;
  #acquirer: number | undefined;
  #isReady = false;
  #everReady = false;
  #written = "";
  #looking: Promise<void> = Promise.resolve();
  #saving: Promise<void> = Promise.resolve();
  #problem: string | undefined;

  constructor(options: DemoOptions, state: DemoState) {
    this.#options = options;
    this.#state = state;
    this.#sockets = join(options.socketsRoot, `cortado-${state.id}`);
  }

  async start(): Promise<void> {
    const { folder, runtime, stores, say } = this.#options;
    if (runtime === "simulated")
      say(`The runtime is simulated: ${this.#options.because ?? "asked for"}. Containers are not real.`);
    await mkdir(join(folder, "logs"), { recursive: true, mode: 0o700 });
    await mkdir(this.#sockets, { mode: 0o700 });
    const hub = await this.#prepareHub();
    await this.#save();
    this.#open.use(
      await serveControl(join(this.#sockets, "control.sock"), (action, store) => this.#act(action, store)),
    );
    if (runtime === "containerd") await this.#startWan();
    await hub.bring(this.#open);
    await this.#save();
    // Stores that have joined need no hub to boot, and a token that is known was the hub's own.
    const serving = hub.untilServing(this.#options.signal);
    if (this.#state.hubToken === undefined) await serving;
    if (this.#options.signal.aborted) return;
    this.#state.hubToken ??= await hub.token();
    for (const [at, name] of stores.entries()) this.#stores.push(await this.#prepare(name, at + 2, hub));
    await Promise.all([serving, ...this.#stores.map((running) => this.#bring(running))]);
    const isReady = async (): Promise<true | undefined> => {
      await this.#look();
      return this.#isReady || this.#options.signal.aborted ? true : undefined;
    };
    await waitFor("the shop", isReady, { withinMs: READY_MS_MAX, everyMs: LOOK_MS });
    if (!this.#options.signal.aborted) for (const line of greeting(await this.#describe())) say(line);
  }

  /** Returns when the demo is to end. */
  async watch(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      await this.#look();
      await setTimeout(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async end(): Promise<void> {
    const { folder, say } = this.#options;
    await Promise.allSettled([this.#looking, this.#saving]);
    await rm(join(folder, "demo.json"), { force: true }).catch((error: unknown) =>
      say(`demo.json could not be removed: ${messageOf(error)}`),
    );
    await this.#open.disposeAsync();
    for (const { door } of this.#stores) await door?.[Symbol.asyncDispose]();
    const ending = [...this.#stores.map(({ store }) => store), this.#hub?.process];
    await Promise.all(ending.map((one) => one && endStore(one)));
    if (this.#acquirer !== undefined) killNow(this.#acquirer);
    await removeLeftovers(this.#state, this.#sockets);
    this.#state.processes.splice(0);
    // Nothing of it runs on, whether or not that could be written.
    await replaceFile(join(folder, "state.json"), this.#state).catch((error: unknown) =>
      say(`state.json is not up to date: ${messageOf(error)}`),
    );
  }

  async #startWan(): Promise<void> {
    const { folder, acquirerCommand } = this.#options;
    const acquirer = acquirerCommand({ host: `${WAN_PREFIX}.1`, port: ACQUIRER_PORT });
    this.#acquirer = await startWan({
      demoId: this.#state.id,
      acquirer,
      logFile: join(folder, "logs", "acquirer.log"),
    });
    await this.#save();
  }

  async #prepareHub(): Promise<DemoHub> {
    const { folder, runtime, hubCommand: command } = this.#options;
    const [api = 0, plain = 0] = await freePorts(2);
    const ports = (this.#state.hubPorts ??= { api, plain });
    this.#hub = new DemoHub({
      folder,
      sockets: this.#sockets,
      demoId: this.#state.id,
      runtime,
      ports,
      command,
    });
    return this.#hub;
  }

  async #prepare(name: string, host: number, hub: DemoHub): Promise<Running> {
    const { folder, runtime, serverCommand } = this.#options;
    const [api = 0, mqtt = 0, gateway = 0, shop = 0] = await freePorts(4);
    const ports = (this.#state.ports[name] ??= { api, mqtt, gateway, shop });
    const uplink = (this.#state.uplinks[name] ??= "up");
    const [uplinkPort = 0] = runtime === "simulated" ? await freePorts(1) : [];
    const uplinks = (this.#state.uplinkPorts ??= {});
    const plan: StorePlan = {
      name,
      dataDir: join(folder, "stores", name, "data"),
      socketDir: join(this.#sockets, name),
      kubeconfig: join(folder, "stores", name, "kubeconfig.yaml"),
      apiUrl: `https://127.0.0.1:${ports.api}`,
      runtime,
      cgroup: `/${cgroupOf(this.#state.id)}/${name}`,
      acquirerUrl: `http://${WAN_PREFIX}.1:${ACQUIRER_PORT}`,
      hubUrl: runtime === "containerd" ? hub.plan.url : `https://127.0.0.1:${(uplinks[name] ??= uplinkPort)}`,
    };
    const command = serverCommand(plan, this.#state.hubToken ?? "");
    const logFile = join(folder, "logs", `${name}.log`);
    const store =
      runtime === "containerd"
        ? new Box({ name, demoId: this.#state.id, host, command, logFile })
        : new PlainProcess({ name, command, logFile });
    return { store, plan, ports, uplink, door: undefined };
  }

  async #bring(running: Running): Promise<void> {
    const { store, plan, ports, uplink } = running;
    await mkdir(plan.dataDir, { recursive: true, mode: 0o700 });
    await mkdir(plan.socketDir, { recursive: true, mode: 0o700 });
    await this.#options.furnish(plan);
    for (const [name, port] of Object.entries(ports))
      this.#open.use(await openDoor({ port, socket: join(plan.socketDir, `${name}.sock`) }));
    await store.boot();
    await this.#save();
    await this.#setUplink(running, uplink);
    await this.#untilServing(plan);
  }

  async #setUplink(running: Running, state: "up" | "down"): Promise<void> {
    running.uplink = state;
    this.#state.uplinks[running.store.name] = state;
    if (running.plan.runtime === "containerd") return await running.store.setUplink(state);
    const door = running.door;
    running.door = undefined;
    await door?.[Symbol.asyncDispose]();
    if (state === "down" || this.#hub === undefined) return;
    running.door = await openDoor({
      port: Number(new URL(running.plan.hubUrl).port),
      socket: join(this.#hub.plan.socketDir, "api.sock"),
    });
  }

  async #untilServing(plan: StorePlan): Promise<void> {
    const look = async (): Promise<true | undefined> =>
      this.#options.signal.aborted || (await answersReady(`${plan.apiUrl}/readyz`)) ? true : undefined;
    await waitFor(
      `store ${plan.name}; its log is ${join(this.#options.folder, "logs", `${plan.name}.log`)} and`,
      look,
      {
        withinMs: BOOT_MS_MAX,
        everyMs: 100,
      },
    );
  }

  async #act(action: Action, name: string): Promise<void> {
    if (name === HUB && this.#hub !== undefined) await this.#actOnHub(action, this.#hub);
    else await this.#actOnStore(action, name);
    await this.#save();
    await this.#look();
  }

  async #actOnHub(action: Action, hub: DemoHub): Promise<void> {
    if (action === "unplug" || action === "plug")
      throw new StatusError("BadRequest", `the hub has no uplink; ${action} a store`);
    if (action === "kill") await hub.process.kill();
    else if (action === "cut-power") await hub.process.cutPower();
    else {
      await hub.process.boot();
      await hub.untilServing(this.#options.signal);
    }
  }

  async #actOnStore(action: Action, name: string): Promise<void> {
    const running = this.#stores.find(({ store }) => store.name === name);
    if (running === undefined) {
      const known = this.#stores.map(({ store }) => store.name).join(", ");
      throw new StatusError(
        "NotFound",
        `there is no store ${JSON.stringify(name)} in this demo; it has ${known}`,
      );
    }
    const { store, plan } = running;
    if (action === "unplug" || action === "plug")
      await this.#setUplink(running, action === "plug" ? "up" : "down");
    else if (action === "kill") await store.kill();
    else if (action === "cut-power") await store.cutPower();
    else {
      await store.boot();
      if (running.uplink === "down") await store.setUplink("down");
      await this.#untilServing(plan);
    }
  }

  /** One look after the other: two at once would write one file, and an older state could come last. */
  #look(): Promise<void> {
    this.#looking = this.#looking.catch(() => undefined).then(() => this.#lookNow());
    return this.#looking;
  }

  /** Looks how things are and writes `demo.json` when something changed. */
  async #lookNow(): Promise<void> {
    const { folder, status, say } = this.#options;
    const file = await this.#describe();
    this.#isReady = file.ready;
    this.#everReady ||= file.ready;
    const text = JSON.stringify(file);
    if (this.#everReady && text !== this.#written && !this.#options.signal.aborted) {
      // The stores' disk is ours too: one that is full or read-only must not end what still sells.
      const problem = await replaceFile(join(folder, "demo.json"), file).then(() => undefined, messageOf);
      if (problem === undefined) this.#written = text;
      else if (problem !== this.#problem)
        say(`demo.json is not up to date: ${problem}; it is written again when the disk allows it`);
      this.#problem = problem;
    }
    const life = (pid: number | null): string => (pid === null ? "dead" : `pid ${pid}`);
    const parts = [
      `hub: ${life(file.hub.pid)}`,
      ...file.stores.map(({ name, pid, uplink }) => `${name}: ${life(pid)}, uplink ${uplink}`),
    ];
    status(`${this.#isReady ? "selling" : "not selling"} | ${parts.join(" | ")}`);
  }

  async #describe(): Promise<DemoFile> {
    const hub = this.#hub;
    assert(hub !== undefined, "a demo that is looked at has a hub");
    const states = await Promise.all(this.#stores.map((running) => this.#entry(running)));
    return {
      ready: states.every(({ sells }) => sells) && (await this.#isSteered(hub)),
      runtime: this.#options.runtime,
      hub: await hub.entry(),
      stores: states.map(({ entry }) => entry),
    };
  }

  /** Before the first time, a store may sell while its functions are still on their way. */
  async #isSteered(hub: DemoHub): Promise<boolean> {
    if (this.#state.wasSteered === true) return true;
    if (!(await hub.hasSteered(this.#options.stores.length))) return false;
    this.#state.wasSteered = true;
    await this.#save();
    return true;
  }

  async #entry({
    store,
    plan,
    ports,
    uplink,
  }: Running): Promise<{ readonly entry: StoreEntry; readonly sells: boolean }> {
    const local = (port: number): string => `127.0.0.1:${port}`;
    const real = plan.runtime === "containerd";
    const pid = (await store.pid()) ?? null;
    const sells =
      pid !== null &&
      (real ? await answers(`http://${local(ports.shop)}/healthz`) : await allPodsReady(plan.kubeconfig));
    const entry: StoreEntry = {
      name: store.name,
      kubeconfig: plan.kubeconfig,
      mqtt: `mqtt://${local(ports.mqtt)}`,
      gateway: `http://${local(ports.gateway)}`,
      shop: real ? `http://${local(ports.shop)}` : null,
      pid,
      uplink,
    };
    return { entry, sells };
  }

  #save(): Promise<void> {
    this.#saving = this.#saving.catch(() => undefined).then(() => this.#saveNow());
    return this.#saving;
  }

  async #saveNow(): Promise<void> {
    const pids = [
      ...this.#stores.flatMap(({ store }) => store.processes()),
      ...(this.#hub?.process.processes() ?? []),
      this.#acquirer,
    ].filter((pid) => pid !== undefined);
    this.#state.processes.splice(0);
    for (const pid of pids) {
      const startTime = await startTimeOf(pid);
      if (startTime !== undefined) this.#state.processes.push({ pid, startTime });
    }
    // A full disk must not keep a store from booting; what is not recorded is only lost to a start after a kill of this demo.
    await replaceFile(join(this.#options.folder, "state.json"), this.#state).catch((error: unknown) =>
      this.#options.say(`state.json is not up to date: ${messageOf(error)}`),
    );
  }
}
