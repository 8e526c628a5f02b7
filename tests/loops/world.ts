import assert from "node:assert/strict";
import { createApiServer, type ApiServer } from "@cortado/apiserver";
import type { User } from "@cortado/apiserver/api";
import { newClient, type Client } from "@cortado/client";
import { newLoopMetrics } from "@cortado/client/loop";
import { startControllers } from "@cortado/controllers";
import { nodes } from "@cortado/kinds/resources";
import { inProcessTransport } from "@cortado/program/transport";
import { startScheduler } from "@cortado/scheduler";
import { newMetrics } from "@cortado/std/metrics";
import { seededRandom } from "@cortado/std/random";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { openMemoryStore } from "@cortado/store/memory";

/** A real API server with the real loops, on a memory store and a held clock; pods run when a test says so. */
export class LoopWorld implements AsyncDisposable {
  readonly clock: HeldClock;
  readonly client: Client;
  readonly removed: string[] = [];
  readonly #stack: AsyncDisposableStack;
  readonly #stop: AbortController = new AbortController();
  readonly #server: ApiServer;

  private constructor(clock: HeldClock, server: ApiServer, stack: AsyncDisposableStack) {
    this.clock = clock;
    this.#server = server;
    this.client = this.as({ name: "system:admin", groups: ["system:masters", "system:authenticated"] });
    this.#stack = stack;
  }

  static async start(
    options: { readonly seed?: number; readonly nodes?: number; readonly clock?: HeldClock } = {},
  ): Promise<LoopWorld> {
    const clock = options.clock ?? new HeldClock();
    const random = seededRandom(options.seed ?? 7);
    const log = silentLog;
    const metrics = newMetrics();
    await using stack = new AsyncDisposableStack();
    const store = stack.use(await openMemoryStore());
    const serviceNetwork = { cidr: "10.43.0.0/16", apiAddress: "10.43.0.1", port: 6443 };
    const server = stack.use(await createApiServer({ store, clock, random, log, metrics, serviceNetwork }));
    const world = new LoopWorld(clock, server, stack.move());
    for (let at = 0; at < (options.nodes ?? 1); at += 1) await world.addNode(`node-${at}`);
    const loopMetrics = newLoopMetrics(metrics);
    const removeFolder = (path: string): Promise<void> => {
      world.removed.push(path);
      return Promise.resolve();
    };
    const localPath = { folder: "/var/lib/cortado/storage", removeFolder };
    const { client } = world;
    world.#stack.use(
      startControllers({
        client,
        clock,
        random,
        log,
        loopMetrics,
        clusterCa: () => "the authority",
        localPath,
        clusterCidr: "10.42.0.0/16",
        ownShare: "10.42.0.0/24",
      }),
    );
    world.#stack.use(startScheduler({ client, clock, random, log, loopMetrics }));
    await settle();
    return world;
  }

  get server(): ApiServer {
    return this.#server;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** A client of somebody else. */
  as(user: User): Client {
    return newClient(inProcessTransport(this.#server, user));
  }

  async addNode(name: string): Promise<void> {
    const status = {
      allocatable: { cpu: "2", memory: "4Gi", pods: "110" },
      conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "ready" }],
    };
    await this.client.create(
      nodes,
      { metadata: { name, labels: { "kubernetes.io/hostname": name } } },
      { signal: this.signal },
    );
    await this.client.patch(nodes, {
      name,
      type: "merge",
      body: { status },
      subresource: "status",
      signal: this.signal,
    });
  }

  /** Lets held time pass in small steps until the look succeeds. */
  async until<Found>(
    what: string,
    look: () => Promise<Found | undefined | false>,
    withinMs = 30_000,
  ): Promise<Found> {
    for (let passedMs = 0; passedMs <= withinMs;) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      const stepMs = Math.min(Math.max(this.clock.nextMs ?? 50, 50), 2_000);
      passedMs += stepMs;
      await this.clock.advance(stepMs);
    }
    return assert.fail(`not reached within ${withinMs} ms of held time: ${what}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the world ends"));
    await this.#stack.disposeAsync();
  }
}
