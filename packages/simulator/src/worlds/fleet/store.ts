import { createECDH, createHash, createPrivateKey, createPublicKey, createSign } from "node:crypto";
import { createApiServer } from "@cortado/apiserver";
import { newClient, type Client } from "@cortado/client";
import { startInformer } from "@cortado/client/informer";
import { startAgent } from "@cortado/fleet/agent";
import type { Agent, ChunkStore, HubDoor, Keys } from "@cortado/fleet/agent/ports";
import type { RegisterAnswer } from "@cortado/fleet/protocol";
import { configMaps } from "@cortado/kinds/resources";
import type { Tree } from "@cortado/kinds/tree";
import { inProcessTransport } from "@cortado/program/transport";
import type { Clock } from "@cortado/std/clock";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom, type Random } from "@cortado/std/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { MemoryDisk, openMemoryStore } from "@cortado/store/memory";
import { MortalClock } from "../../clock.ts";
import { never } from "../../faults/files.ts";
import { mortal } from "../../faults/mortal.ts";
import { copyOf, unreachable, type HubLife } from "./hub.ts";
import { StoreJournal } from "./journal.ts";
import { LightKubernetes, type Witness } from "./light-kubernetes.ts";
import { COMMIT_MS_MAX, LATENCY_MS_MAX } from "./limits.ts";
import { runPods } from "./pods.ts";
import { Process, type FleetPorts } from "./ports.ts";
import { newCall, type Call } from "./uplink.ts";

export type StoreOptions = {
  readonly name: string;
  readonly seed: number;
  /** Our real API server in place of a small one. */
  readonly isWhole: boolean;
  /** What its wall clock is wrong by. */
  readonly skewMs: number;
  readonly token: () => string;
  readonly witness: Witness;
};

/** A store: its disk, its line to the hub, and the processes that run now. */
export class FleetStore {
  readonly name: string;
  readonly journal: StoreJournal = new StoreJournal();
  readonly #options: StoreOptions;
  readonly #ports: FleetPorts & { readonly hub: HubLife };
  readonly #random: Random;
  readonly #latencyMs: number;
  readonly #chunks = new Map<string, Uint8Array>();
  readonly #light: LightKubernetes;
  #disk = new MemoryDisk();
  #machine: Process | undefined;
  #agentProcess: Process | undefined;
  #agent: Agent | undefined;
  #client: Client | undefined;
  #call: Call | undefined;
  #isLineUp = true;

  constructor(options: StoreOptions, ports: FleetPorts & { readonly hub: HubLife }) {
    this.name = options.name;
    this.#options = options;
    this.#ports = ports;
    this.#random = seededRandom(options.seed);
    this.#latencyMs = 2 + this.#random.integer(LATENCY_MS_MAX);
    const random = seededRandom(options.seed + 1);
    this.#light = new LightKubernetes({ clock: ports.clock, random, witness: options.witness });
  }

  get isOn(): boolean {
    return this.#machine?.alive === true;
  }

  get agent(): Agent | undefined {
    return this.#agent;
  }

  /** Of its Kubernetes, as it is now; undefined while it boots. */
  get client(): Client | undefined {
    return this.#client;
  }

  async powerOn(): Promise<void> {
    const machine = new Process();
    this.#machine = machine;
    this.#ports.trace.note(this.name, "power-on", "");
    const client = this.#options.isWhole ? await this.#startApi(machine) : this.#light.clientOf(machine);
    if (!machine.alive) return;
    this.#client = client;
    const clock = mortalClock(this.#ports.clock, machine);
    if (this.#options.isWhole) this.#watch(client, clock, machine);
    runPods({ client, clock, random: seededRandom(this.#random.integer(2 ** 32)), machine });
    this.startAgent();
  }

  /** Everything in the box is gone at once, and the hub is not told. */
  powerOff(): void {
    this.#ports.trace.note(this.name, "power-off", "");
    this.#call?.silence();
    this.#client = undefined;
    this.#endAgent();
    this.#machine?.die();
    // What of the chunks was not on the disk yet is gone.
    for (const name of [...this.#chunks.keys()]) if (this.#random.integer(4) === 0) this.#chunks.delete(name);
  }

  /** kill -9 of the agent alone; it is started again at once. */
  killAgent(): void {
    if (this.#agentProcess?.alive !== true) return;
    this.#ports.trace.note(this.name, "kill-agent", "");
    this.#endAgent();
    this.startAgent();
  }

  setLine(isUp: boolean, { isSilent }: { readonly isSilent: boolean }): void {
    this.#ports.trace.note(this.name, "line", `${isUp ? "up" : "down"}${isSilent ? ", silently" : ""}`);
    this.#isLineUp = isUp;
    if (isUp) return;
    if (isSilent) this.#call?.silence();
    else this.#call?.cut();
  }

  /** Somebody changes its Kubernetes behind everybody's back; only a small one. */
  meddle(work: (kubernetes: LightKubernetes) => void): void {
    if (!this.#options.isWhole) work(this.#light);
  }

  startAgent(): void {
    const machine = this.#machine;
    const api = this.#client;
    if (machine?.alive !== true || api === undefined) return;
    const life = new Process();
    machine.atEnd(() => life.die());
    this.#agentProcess = life;
    const clock = mortalClock(this.#ports.clock, life);
    this.#agent = startAgent(
      {
        version: "1.0.0",
        labels: { location: "edge" },
        name: this.name,
        clientId: this.name,
        token: this.#options.token(),
      },
      {
        client: mortalClient(this.#options.isWhole ? api : this.#light.clientOf(life), life),
        hub: this.#door(life),
        keys: seededKeys(this.#options.seed),
        chunks: this.#chunkStore(life),
        journal: this.journal.portOf(life),
        clock: skewed(clock, this.#options.skewMs),
        random: seededRandom(this.#random.integer(2 ** 32)),
        log: silentLog,
      },
    );
  }

  /** Our real API server has no hook: what it tells is what is witnessed. */
  #watch(client: Client, clock: Clock, machine: Process): void {
    const stop = new AbortController();
    machine.atEnd(() => stop.abort(new Error("the power is off")));
    const informer = startInformer(client, configMaps, { clock, log: silentLog, signal: stop.signal });
    informer.subscribe(({ old, now }) => {
      if (machine.alive)
        this.#options.witness("configmaps", old as Tree | undefined, now as Tree | undefined);
    });
  }

  #endAgent(): void {
    this.#agent = undefined;
    this.#agentProcess?.die();
    this.#call?.cut();
    this.#call = undefined;
  }

  async #startApi(machine: Process): Promise<Client> {
    const { clock: worldClock } = this.#ports;
    const clock = mortalClock(worldClock, machine);
    this.#disk = copyOf(this.#disk);
    this.#disk.beforeCommit = async () => {
      await new Promise<void>(
        (resolve) => void worldClock.after(1 + this.#random.integer(COMMIT_MS_MAX), resolve),
      );
      if (!machine.alive) return never();
    };
    const server = await createApiServer({
      store: await openMemoryStore({ disk: this.#disk }),
      clock,
      random: seededRandom(this.#random.integer(2 ** 32)),
      log: silentLog,
      metrics: newMetrics(),
      serviceNetwork: { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 },
    });
    const user = { name: "system:admin", groups: ["system:masters", "system:authenticated"] };
    return mortalClient(newClient(inProcessTransport(server, user)), machine);
  }

  #chunkStore(life: Process): ChunkStore {
    const store: ChunkStore = {
      read: (sha256) => Promise.resolve(this.#chunks.get(sha256)),
      put: (sha256, bytes) => {
        this.#chunks.set(sha256, bytes.slice());
        return Promise.resolve();
      },
    };
    return mortal(store, life);
  }

  #door(life: Process): HubDoor {
    const { hub } = this.#ports;
    const there = async (): Promise<void> => {
      await this.#way();
      if (!this.#isLineUp) throw unreachable();
    };
    const ask = async (method: string, path: string, body?: unknown): Promise<unknown> => {
      await there();
      const answer = await hub.ask(method, path, body);
      await there();
      return answer;
    };
    const door: HubDoor = {
      readAuthority: async () => (await ask("GET", "/cacerts")) as string,
      register: async (request) => (await ask("POST", "/fleet/v1/register", request)) as RegisterAnswer,
      challenge: async () => ((await ask("GET", "/fleet/v1/challenge")) as { challenge: string }).challenge,
      renew: async (request) => (await ask("POST", "/fleet/v1/renew", request)) as { certificate: string },
      dial: async ({ certificate }) => {
        await there();
        const call = newCall({ clock: this.#ports.clock, random: this.#random, latencyMs: this.#latencyMs });
        if (!life.alive) return never();
        hub.take(certificate, call.hub, call.cut);
        this.#call = call;
        return call.agent;
      },
    };
    return mortal(door, life);
  }

  #way(): Promise<void> {
    return new Promise((resolve) => {
      this.#ports.clock.after(this.#random.integer(this.#latencyMs), resolve);
    });
  }
}

function mortalClock(clock: Clock, life: Process): MortalClock {
  const mortal = new MortalClock(clock);
  life.atEnd(() => mortal.die());
  return mortal;
}

/** Calls of a dead process never come back; its watches tell it nothing more. */
function mortalClient(client: Client, life: Process): Client {
  return {
    ...mortal(client, life),
    watch: (type, options) => untilDead(client.watch(type, options), life),
  };
}

async function* untilDead<Item>(items: AsyncIterable<Item>, life: Process): AsyncIterable<Item> {
  for await (const item of items) {
    if (!life.alive) return never();
    yield item;
  }
}

/** A wall clock that is wrong; durations are right. */
function skewed(clock: Clock, skewMs: number): Clock {
  return {
    nowMs: () => clock.nowMs() + skewMs,
    monotonicMs: () => clock.monotonicMs(),
    sleep: (ms, options) => clock.sleep(ms, options),
    after: (ms, callback) => clock.after(ms, callback),
  };
}

/** Real keys of P-256, made of the store's seed. */
function seededKeys(seed: number): Keys {
  return {
    make() {
      const curve = createECDH("prime256v1");
      curve.setPrivateKey(createHash("sha256").update(`key of ${seed}`).digest());
      const point = curve.getPublicKey();
      const text = (bytes: Buffer): string => bytes.toString("base64url");
      const key = createPrivateKey({
        format: "jwk",
        key: {
          kty: "EC",
          crv: "P-256",
          d: text(curve.getPrivateKey()),
          x: text(point.subarray(1, 33)),
          y: text(point.subarray(33)),
        },
      });
      return {
        privateKey: key.export({ type: "pkcs8", format: "pem" }).toString(),
        publicKey: createPublicKey(key).export({ type: "spki", format: "pem" }).toString(),
      };
    },
    publicOf: (privateKey) => createPublicKey(privateKey).export({ type: "spki", format: "pem" }).toString(),
    sign: (privateKey, text) => createSign("sha256").update(text).sign(privateKey, "base64"),
    validity: () => ({ fromMs: Date.UTC(2025, 0, 1), untilMs: Date.UTC(2035, 0, 1) }),
  };
}
