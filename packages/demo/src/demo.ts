import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, StatusError } from "@cortado/std/status";
import { Box, cgroupOf, type Store } from "./box.ts";
import { removeCgroup } from "./cgroups.ts";
import { childOf, killNow, startTimeOf, waitFor } from "./command.ts";
import { askDemo, serveControl, type Action } from "./control.ts";
import { freePorts, openDoor } from "./doors.ts";
import { ACQUIRER_PORT, BOOT_MS_MAX, LOOK_MS, READY_MS_MAX, STOP_MS_MAX, WAN_PREFIX } from "./limits.ts";
import { PlainStore } from "./plain-store.ts";
import { allPodsReady, answers, answersReady } from "./questions.ts";
import {
  readState,
  replaceFile,
  type DemoFile,
  type DemoState,
  type StoreEntry,
  type StorePorts,
} from "./state.ts";
import { removeNamespaces, startWan } from "./wan.ts";

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
};

export type DemoOptions = {
  /** `.cortado`, absolute. */
  readonly folder: string;
  readonly socketsRoot: string;
  readonly runtime: "containerd" | "simulated";
  /** Said when the runtime is simulated. */
  readonly because?: string;
  readonly stores: readonly string[];
  readonly serverCommand: (plan: StorePlan) => readonly string[];
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

/** Removes all of an earlier demo of this folder but its data. @throws StatusError "Conflict" when it still runs */
export async function sweep(
  options: Pick<DemoOptions, "folder" | "socketsRoot">,
  state: DemoState,
): Promise<void> {
  const sockets = join(options.socketsRoot, `cortado-${state.id}`);
  const alive = await askDemo(join(sockets, "control.sock"), "ping").then(
    () => true,
    () => false,
  );
  if (alive)
    throw new StatusError("Conflict", `a demo already runs in ${options.folder}; end it with Ctrl-C first`);
  await removeLeftovers(state, sockets);
  await rm(join(options.folder, "demo.json"), { force: true });
}

async function removeLeftovers(state: DemoState, sockets: string): Promise<void> {
  for (const { pid, startTime } of state.processes) if ((await startTimeOf(pid)) === startTime) killNow(pid);
  await removeNamespaces(state.id);
  const emptied = async (): Promise<true | undefined> => {
    await removeCgroup(cgroupOf(state.id));
    return true;
  };
  // A killed process leaves its cgroup a moment later.
  for (let round = 0; round < 10; round += 1)
    await emptied().then(() => new Promise((resolve) => setTimeout(resolve, 20)));
  await rm(sockets, { recursive: true, force: true });
}

class Demo {
  readonly #options: DemoOptions;
  readonly #state: DemoState;
  readonly #stores: Running[] = [];
  readonly #open = new AsyncDisposableStack();
  readonly #sockets: string;
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
    await this.#save();
    this.#open.use(
      await serveControl(join(this.#sockets, "control.sock"), (action, store) => this.#act(action, store)),
    );
    if (runtime === "containerd") await this.#startWan();
    for (const [at, name] of stores.entries()) this.#stores.push(await this.#prepare(name, at + 2));
    await Promise.all(this.#stores.map((running) => this.#bring(running)));
    const isReady = async (): Promise<true | undefined> => {
      await this.#look();
      return this.#isReady || this.#options.signal.aborted ? true : undefined;
    };
    await waitFor("the shop", isReady, { withinMs: READY_MS_MAX, everyMs: LOOK_MS });
    if (!this.#options.signal.aborted) this.#greet();
  }

  /** Returns when the demo is to end. */
  async watch(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      await this.#look();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOOK_MS);
        const wake = (): void => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener("abort", wake, { once: true });
      });
    }
  }

  async end(): Promise<void> {
    const { folder, say } = this.#options;
    await Promise.allSettled([this.#looking, this.#saving]);
    await rm(join(folder, "demo.json"), { force: true }).catch((error: unknown) =>
      say(`demo.json could not be removed: ${messageOf(error)}`),
    );
    await this.#open.disposeAsync();
    await Promise.all(this.#stores.map(({ store }) => endStore(store)));
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

  async #prepare(name: string, host: number): Promise<Running> {
    const { folder, runtime, serverCommand } = this.#options;
    const [api = 0, mqtt = 0, gateway = 0, shop = 0] = await freePorts(4);
    const ports = (this.#state.ports[name] ??= { api, mqtt, gateway, shop });
    const uplink = (this.#state.uplinks[name] ??= "up");
    const plan: StorePlan = {
      name,
      dataDir: join(folder, "stores", name, "data"),
      socketDir: join(this.#sockets, name),
      kubeconfig: join(folder, "stores", name, "kubeconfig.yaml"),
      apiUrl: `https://127.0.0.1:${ports.api}`,
      runtime,
      cgroup: `/${cgroupOf(this.#state.id)}/${name}`,
      acquirerUrl: `http://${WAN_PREFIX}.1:${ACQUIRER_PORT}`,
    };
    const command = serverCommand(plan);
    const logFile = join(folder, "logs", `${name}.log`);
    const store =
      runtime === "containerd"
        ? new Box({ name, demoId: this.#state.id, host, command, logFile })
        : new PlainStore({ name, command, logFile });
    return { store, plan, ports, uplink };
  }

  async #bring({ store, plan, ports, uplink }: Running): Promise<void> {
    await mkdir(plan.dataDir, { recursive: true, mode: 0o700 });
    await mkdir(plan.socketDir, { recursive: true, mode: 0o700 });
    await this.#options.furnish(plan);
    for (const [name, port] of Object.entries(ports))
      this.#open.use(await openDoor({ port, socket: join(plan.socketDir, `${name}.sock`) }));
    await store.boot();
    await this.#save();
    if (uplink === "down") await store.setUplink("down");
    await this.#untilServing(plan);
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
    const running = this.#stores.find(({ store }) => store.name === name);
    if (running === undefined) {
      const known = this.#stores.map(({ store }) => store.name).join(", ");
      throw new StatusError(
        "NotFound",
        `there is no store ${JSON.stringify(name)} in this demo; it has ${known}`,
      );
    }
    const { store, plan } = running;
    if (action === "unplug" || action === "plug") {
      const state = action === "plug" ? "up" : "down";
      await store.setUplink(state);
      running.uplink = state;
      this.#state.uplinks[name] = state;
    } else if (action === "kill") await store.kill();
    else if (action === "cut-power") await store.cutPower();
    else {
      await store.boot();
      if (running.uplink === "down") await store.setUplink("down");
      await this.#untilServing(plan);
    }
    await this.#save();
    await this.#look();
  }

  /** One look after the other: two at once would write one file, and an older state could come last. */
  #look(): Promise<void> {
    this.#looking = this.#looking.catch(() => undefined).then(() => this.#lookNow());
    return this.#looking;
  }

  /** Looks how things are and writes `demo.json` when something changed. */
  async #lookNow(): Promise<void> {
    const { folder, runtime, status, say } = this.#options;
    const states = await Promise.all(this.#stores.map((running) => this.#entry(running)));
    this.#isReady = states.every(({ sells }) => sells);
    this.#everReady ||= this.#isReady;
    const stores = states.map(({ entry }) => entry);
    const file: DemoFile = { ready: this.#isReady, runtime, hub: null, stores };
    const text = JSON.stringify(file);
    if (this.#everReady && text !== this.#written && !this.#options.signal.aborted) {
      // The stores' disk is ours too: one that is full or read-only must not end what still sells.
      const problem = await replaceFile(join(folder, "demo.json"), file).then(() => undefined, messageOf);
      if (problem === undefined) this.#written = text;
      else if (problem !== this.#problem)
        say(`demo.json is not up to date: ${problem}; it is written again when the disk allows it`);
      this.#problem = problem;
    }
    const parts = stores.map(
      ({ name, pid, uplink }) => `${name}: ${pid === null ? "dead" : `pid ${pid}`}, uplink ${uplink}`,
    );
    status(`${this.#isReady ? "selling" : "not selling"} | ${parts.join(" | ")}`);
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
    const pids = [...this.#stores.flatMap(({ store }) => store.processes()), this.#acquirer].filter(
      (pid) => pid !== undefined,
    );
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

  #greet(): void {
    const { say } = this.#options;
    for (const { store, plan, ports } of this.#stores) {
      const shop = `http://127.0.0.1:${ports.shop}`;
      say(`Store ${store.name} sells.`);
      if (plan.runtime === "containerd") say(`  shop        ${shop}   (barista: ${shop}/barista)`);
      say(`  functions   http://127.0.0.1:${ports.gateway}`);
      say(`  mqtt        mqtt://127.0.0.1:${ports.mqtt}`);
      say(`  kubeconfig  ${plan.kubeconfig}`);
      say("Try:");
      say(`  kubectl --kubeconfig ${plan.kubeconfig} get pods -A`);
      const order =
        '{"id":"\'$(cat /proc/sys/kernel/random/uuid)\'","items":[{"sku":"latte","quantity":1}],"payment":{"method":"card","token":"tok_visa"}}';
      if (plan.runtime === "containerd")
        say(`  curl -i ${shop}/api/orders -H 'content-type: application/json' -d '${order}'`);
      const reading = '{"temp": 97.4, "unit": "F"}';
      say(`  mosquitto_pub -L mqtt://127.0.0.1:${ports.mqtt}//store104/fridge/temp -m '${reading}' -q 1`);
      say(`  then: kubectl --kubeconfig ${plan.kubeconfig} get alerts -A`);
    }
    say("Ctrl-C ends it; the data stays.");
  }
}

async function endStore(store: Store): Promise<void> {
  await store.stop();
  const stopped = async (): Promise<true | undefined> =>
    (await store.pid()) === undefined ? true : undefined;
  await waitFor(store.name, stopped, { withinMs: STOP_MS_MAX, everyMs: 50 }).catch(() => undefined);
  await store.cutPower();
  for (const pid of store.processes()) {
    const child = await childOf(pid);
    if (child !== undefined) killNow(child);
    killNow(pid);
  }
}
