import { createApiServer } from "@cortado/apiserver";
import { newClient, type Client } from "@cortado/client";
import { newLoopMetrics } from "@cortado/client/loop";
import { fleetDefinitions } from "@cortado/kinds/fleet-definitions";
import { inProcessTransport } from "@cortado/program/transport";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { openMemoryStore } from "@cortado/store/memory";
import type { RepositoryPorts } from "@cortado/fleet/git/repositories";

/** The API server of a hub, on a memory store and a held clock. */
export class HubWorld implements AsyncDisposable {
  readonly client: Client;
  readonly ports: Pick<RepositoryPorts, "clock" | "random" | "log" | "loopMetrics">;
  readonly #clock: HeldClock;
  readonly #stack: AsyncDisposableStack;
  readonly #stop: AbortController = new AbortController();

  private constructor(options: {
    readonly client: Client;
    readonly clock: HeldClock;
    readonly ports: HubWorld["ports"];
    readonly stack: AsyncDisposableStack;
  }) {
    this.client = options.client;
    this.#clock = options.clock;
    this.ports = options.ports;
    this.#stack = options.stack;
  }

  static async start(): Promise<HubWorld> {
    const clock = new HeldClock();
    const random = seededRandom(11);
    const metrics = newMetrics();
    await using stack = new AsyncDisposableStack();
    const store = stack.use(await openMemoryStore());
    const serviceNetwork = { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 };
    const server = stack.use(
      await createApiServer({
        store,
        clock,
        random,
        log: silentLog,
        metrics,
        serviceNetwork,
        definitions: fleetDefinitions,
      }),
    );
    const user = { name: "system:admin", groups: ["system:masters", "system:authenticated"] };
    const ports = { clock, random, log: silentLog, loopMetrics: newLoopMetrics(metrics) };
    const client = newClient(inProcessTransport(server, user));
    return new HubWorld({ client, clock, ports, stack: stack.move() });
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  async advance(ms: number): Promise<void> {
    await this.#clock.advance(ms);
  }

  settle(): Promise<void> {
    return settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await settle();
    await this.#stack.disposeAsync();
  }
}
