import { createHash, createPublicKey } from "node:crypto";
import { createApiServer } from "@cortado/apiserver";
import { newClient, type Client } from "@cortado/client";
import { newLoopMetrics } from "@cortado/client/loop";
import { compile } from "@cortado/fleet/compile";
import { newCompiler } from "@cortado/fleet/compile/compiler";
import { followRepositories } from "@cortado/fleet/git/repositories";
import { newHub, type RunningHub } from "@cortado/fleet/hub";
import type { HubLink } from "@cortado/fleet/protocol";
import { planRollout } from "@cortado/fleet/rollout";
import { fleetDefinitions } from "@cortado/kinds/fleet-definitions";
import { inProcessTransport } from "@cortado/program/transport";
import type { HttpRequest } from "@cortado/std/http";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom, type Random } from "@cortado/std/random";
import { fromStatus, StatusError } from "@cortado/std/status";
import { silentLog } from "@cortado/std/testing/silent-log";
import { MemoryDisk, openMemoryStore } from "@cortado/store/memory";
import { MortalClock } from "../../clock.ts";
import { FaultyFiles, never } from "../../faults/files.ts";
import { COMMIT_MS_MAX, OFFLINE_AFTER_MS, WAVE_DEADLINE_MS } from "./limits.ts";
import type { SoldEvent } from "./journal.ts";
import { Process, type FleetPorts } from "./ports.ts";
import type { MemoryGit } from "./repository.ts";

export const namespace = "fleet-default";
export const authority = "the authority of the hub\n";

export type HubServices = {
  readonly client: Client;
  readonly hub: RunningHub;
  /** A push was told. */
  readonly wake: () => void;
};

type Issued = {
  readonly key: string;
  readonly cluster: { readonly namespace: string; readonly name: string };
};
type HubPorts = FleetPorts & {
  readonly seed: number;
  readonly git: MemoryGit;
  readonly losesEvents: boolean;
};

/** The hub: what outlives its processes (disk, authority), and the process that runs now. */
export class HubLife {
  readonly #ports: HubPorts;
  readonly #random: Random;
  readonly #files: FaultyFiles;
  /** Certificates that its authority signed, by their text. */
  readonly #issued = new Map<string, Issued>();
  readonly #calls = new Set<() => void>();
  #disk = new MemoryDisk();
  #process: Process | undefined;
  #services: HubServices | undefined;
  #lives = 0;

  constructor(ports: HubPorts) {
    this.#ports = ports;
    this.#random = seededRandom(ports.seed);
    this.#files = new FaultyFiles({ clock: ports.clock, random: seededRandom(ports.seed + 1) });
  }

  get lives(): number {
    return this.#lives;
  }

  get services(): HubServices | undefined {
    return this.#services;
  }

  async boot(): Promise<void> {
    this.#lives += 1;
    const { clock, trace } = this.#ports;
    trace.note("hub", "boot", String(this.#lives));
    const life = new Process();
    this.#process = life;
    this.#disk = copyOf(this.#disk);
    this.#disk.beforeCommit = async () => {
      await new Promise<void>((resolve) => {
        clock.after(1 + this.#random.integer(COMMIT_MS_MAX), resolve);
      });
      if (!life.alive) return never();
    };
    const services = await this.#start(life);
    if (!life.alive) return;
    this.#services = services;
    trace.note("hub", "serves", String(this.#lives));
  }

  /** kill -9: the kernel closes what was open. With `isSilent` the machine lost its power, and nobody is told. */
  die({ isSilent }: { readonly isSilent: boolean }): void {
    this.#ports.trace.note("hub", isSilent ? "cut" : "kill", String(this.#lives));
    this.#services = undefined;
    this.#process?.die();
    if (isSilent) this.#files.cutPower();
    for (const end of this.#calls) end();
    this.#calls.clear();
  }

  /** Work with the process that runs now. @throws StatusError "ServiceUnavailable" when it dies before the work is done */
  async whileAlive<Result>(work: () => Promise<Result>): Promise<Result> {
    const life = this.#process;
    if (life?.alive !== true) throw unreachable();
    const died = new Promise<never>((_, reject) => life.atEnd(() => reject(unreachable())));
    died.catch(() => undefined);
    return Promise.race([work(), died]);
  }

  /** A door of the hub that answers without a connection. @throws StatusError as the hub says, "ServiceUnavailable" while it is down */
  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const routes = this.#services?.hub.routes ?? [];
    const route = routes.find((one) => one.path === path && one.methods.includes(method));
    if (route === undefined) throw unreachable();
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    const request = { method, path, headers: {}, body: () => Promise.resolve(bytes) };
    const answer = await this.whileAlive(() => route.handle(request as unknown as HttpRequest));
    const text = String(answer.body);
    if (answer.status >= 400) throw fromStatus(JSON.parse(text));
    return path === "/cacerts" ? text : JSON.parse(text);
  }

  /** Takes a connection; `end` is called when the process dies. @throws StatusError while it is down */
  take(certificate: string, link: HubLink, end: () => void): void {
    const issued = this.#issued.get(certificate);
    if (this.#services === undefined) throw unreachable();
    if (issued === undefined) throw new StatusError("Unauthorized", "the certificate is none of this hub");
    const der = createPublicKey(issued.key).export({ type: "spki", format: "der" });
    const keySha256 = createHash("sha256").update(der).digest("hex");
    this.#calls.add(end);
    const identity = { cluster: issued.cluster, keySha256, isExpired: false, remote: "198.51.100.7:40000" };
    void this.#services.hub.serveLink(link, identity).finally(() => this.#calls.delete(end));
  }

  async #start(life: Process): Promise<HubServices> {
    const { clock: worldClock, central, git, losesEvents, rollouts } = this.#ports;
    const clock = new MortalClock(worldClock);
    const stop = new AbortController();
    life.atEnd(() => clock.die());
    const metrics = newMetrics();
    const random = seededRandom(this.#random.integer(2 ** 32));
    const common = { clock, random, log: silentLog, metrics };
    const parts = newHub();
    const server = await createApiServer({
      ...common,
      store: rollouts.watch(await openMemoryStore({ disk: this.#disk })),
      serviceNetwork: { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 },
      definitions: fleetDefinitions,
      views: parts.views,
    });
    const user = { name: "system:admin", groups: ["system:masters", "system:authenticated"] };
    const client = newClient(inProcessTransport(server, user));
    const files = this.#files.of(life);
    const hub = await parts.start(
      {
        folder: "hub",
        url: "https://hub.example",
        authority,
        offlineAfterMs: OFFLINE_AFTER_MS,
        waveDeadlineMs: WAVE_DEADLINE_MS,
      },
      {
        ...common,
        files,
        client,
        writeOwnStatus: (own) => server.writeOwnStatus(own),
        compiler: newCompiler({ renderer: noRenderer }),
        plan: planRollout,
        issue: (request) => Promise.resolve(this.#issue(request)),
        takeEvents: ({ name }, events) =>
          losesEvents
            ? Promise.resolve((events.at(-1) as SoldEvent).sequence)
            : central.take(name, events as readonly SoldEvent[], life),
      },
    );
    const repositories = followRepositories({
      ...common,
      client,
      git: git.git,
      compile,
      apply: (...applied) => hub.applyCompiled(...applied),
      loopMetrics: newLoopMetrics(metrics),
      signal: stop.signal,
      isStrict: false,
    });
    return { client, hub, wake: () => void repositories.wake("https://git.example/chain.git") };
  }

  #issue({
    publicKey,
    cluster,
  }: {
    readonly publicKey: string;
    readonly cluster: Issued["cluster"];
  }): string {
    const certificate = `certificate ${this.#issued.size + 1}`;
    this.#issued.set(certificate, { key: publicKey, cluster });
    return certificate;
  }
}

const noRenderer = {
  helmTemplate: (): Promise<never> => Promise.reject(new Error("no chart is in this world")),
  kustomize: (): Promise<never> => Promise.reject(new Error("no kustomization is in this world")),
};

export function unreachable(): StatusError {
  return new StatusError("ServiceUnavailable", "the hub does not answer");
}

/** A process that died still holds the disk it had, so the next one gets a copy of what was durable. */
export function copyOf(disk: MemoryDisk): MemoryDisk {
  const copy = new MemoryDisk();
  for (const [key, value] of disk.values) copy.values.set(key, value);
  copy.reserved = disk.reserved;
  return copy;
}
