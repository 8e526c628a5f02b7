import { bundles, clusterRegistrationTokens, gitRepos } from "@cortado/kinds/fleet";
import { namespaces, secrets } from "@cortado/kinds/resources";
import type { Client } from "@cortado/client";
import { hasReason } from "@cortado/std/status";
import type { Random } from "@cortado/std/random";
import { namespace, type HubLife } from "./hub.ts";
import { RELEASE_EVERY_MS } from "./limits.ts";
import type { FleetPorts } from "./ports.ts";
import { repositoryUrl, type MemoryGit, type Release } from "./repository.ts";

type OperatorPorts = FleetPorts & { readonly random: Random; readonly git: MemoryGit; readonly hub: HubLife };

/** Who runs the hub: sets it up once, and pushes releases, of which some are bad. */
export class Operator {
  readonly ready: Promise<void>;
  readonly #ports: OperatorPorts;
  readonly #isReady: () => void;
  #token = "";
  #last: Release = { version: 1, kind: "good", hasExtra: false };
  #extraMayGo = false;
  #isClosing = false;

  constructor(ports: OperatorPorts) {
    this.#ports = ports;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#isReady = resolve;
    ports.git.push(this.#last);
  }

  get token(): string {
    return this.#token;
  }

  get version(): number {
    return this.#last.version;
  }

  /** The bundles that every store has in the end. */
  get names(): readonly string[] {
    return this.#last.hasExtra ? ["extra", "menu", "till"] : ["menu", "till"];
  }

  /** A commit took bundle `extra` away. */
  get extraMayGo(): boolean {
    return this.#extraMayGo;
  }

  /** No more sales: what is on its way arrives. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Sets the hub up; may be repeated when it died meanwhile. */
  async begin(): Promise<void> {
    const { clock, hub } = this.#ports;
    const signal = new AbortController().signal;
    for (;;) {
      const client = hub.services?.client;
      if (client !== undefined && (await this.#tries(client, signal))) break;
      await clock.sleep(200, { signal });
    }
    this.#isReady();
  }

  async #tries(client: Client, signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#ports.hub.whileAlive(() => this.#setUp(client, signal));
    } catch (error) {
      if (hasReason(error, "ServiceUnavailable")) return false;
      throw error;
    }
  }

  async #setUp(client: Client, signal: AbortSignal): Promise<boolean> {
    const made = async (work: Promise<unknown>): Promise<void> => {
      await work.catch((error: unknown) => {
        if (!hasReason(error, "AlreadyExists")) throw error;
      });
    };
    await made(client.create(namespaces, { metadata: { name: namespace } }, { signal }));
    await made(
      client.create(clusterRegistrationTokens, { metadata: { name: "stores", namespace } }, { signal }),
    );
    const targets = [{ name: "all", clusterSelector: {} }];
    const spec = { repo: repositoryUrl, branch: "main", targets };
    await made(client.create(gitRepos, { metadata: { name: "chain", namespace }, spec }, { signal }));
    try {
      const secret = await client.get(secrets, { name: "stores", namespace, signal });
      this.#token = Buffer.from(secret.data?.["token"] ?? "", "base64").toString();
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error;
    }
    return this.#token !== "";
  }

  /** Pushes until it is told to stop. */
  async release(signal: AbortSignal): Promise<void> {
    const { clock, random, git } = this.#ports;
    for (;;) {
      await clock
        .sleep(RELEASE_EVERY_MS / 2 + random.integer(RELEASE_EVERY_MS), { signal })
        .catch(() => undefined);
      if (signal.aborted) return;
      if (random.integer(6) === 0) {
        git.isUp = false;
        await clock.sleep(random.integer(20_000), { signal }).catch(() => undefined);
        git.isUp = true;
      }
      if (random.integer(4) === 0) await this.#abort();
      const kind = (["good", "good", "good", "bad", "broken"] as const)[random.integer(5)] ?? "good";
      this.#push({ version: this.#last.version + 1, kind, hasExtra: random.integer(3) > 0 });
    }
  }

  /** The last one is good, and everything comes to it. */
  releaseLast(): void {
    this.#isClosing = true;
    this.#ports.git.isUp = true;
    this.#push({ version: this.#last.version + 1, kind: "good", hasExtra: this.#last.hasExtra });
  }

  #push(release: Release): void {
    const { trace, git, hub } = this.#ports;
    trace.note("git", "push", `${release.version} ${release.kind}${release.hasExtra ? " with extra" : ""}`);
    if (this.#last.hasExtra && !release.hasExtra) this.#extraMayGo = true;
    this.#last = release;
    git.push(release);
    hub.services?.wake();
  }

  /** Gives up what is under way of the menu. */
  async #abort(): Promise<void> {
    const { trace, hub } = this.#ports;
    const client = hub.services?.client;
    if (client === undefined) return;
    const where = { name: "menu", namespace, signal: new AbortController().signal };
    await hub
      .whileAlive(async () => {
        const { status } = await client.get(bundles, where);
        const generation = status?.rollout?.generation ?? 0;
        if (status?.rollout?.phase !== "Halted" && status?.rollout?.phase !== "Progressing") return;
        trace.note("operator", "abort", String(generation));
        const annotations = { "fleet.cortado.dev/rollout": `abort=${generation}` };
        await client.patch(bundles, { ...where, type: "merge", body: { metadata: { annotations } } });
      })
      .catch((error: unknown) => {
        if (!hasReason(error, "NotFound", "ServiceUnavailable")) throw error;
      });
  }
}
