import type { Client, Stored } from "@cortado/client";
import type { Node } from "@cortado/kinds";
import { leases, nodes } from "@cortado/kinds/resources";
import { toMicroTime, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { backoffMs } from "@cortado/std/backoff";
import { hasReason, messageOf } from "@cortado/std/status";
import {
  NODE_LEASE_RENEW_MS,
  NODE_LEASE_S,
  NODE_STATUS_LOOK_MS,
  NODE_STATUS_WRITE_MS,
  REGISTER_FIRST_MS,
  REGISTER_MAX_MS,
} from "../limits.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Machine } from "./machine.ts";
import { nodeStatus, statusDiffers, type Pressure } from "./node-status.ts";
import { ownNode, type OwnNode } from "./own-node.ts";

export type RegistrationOptions = OwnNode & {
  readonly dataFolder: string;
  readonly apiPort: number | undefined;
  readonly podsMax?: number | undefined;
  /** Addresses that its pods have, where others give them out. */
  readonly usedCidr?: string | undefined;
};

export type RegistrationPorts = {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly machine: Machine;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly pressure: () => Pressure;
};

/** Keeps the node's object and its lease true. */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #ports: RegistrationPorts;
  #node: Stored<Node> | undefined;
  #writtenMs = 0;
  #toldCidr: string | undefined;
  #lease: Promise<void> = Promise.resolve();

  constructor(options: RegistrationOptions, ports: RegistrationPorts) {
    this.#options = options;
    this.#ports = ports;
  }

  /** Makes or takes over the node's object and writes its status once; a server that does not answer is asked again and again. */
  async register(): Promise<void> {
    const { clock, signal, log } = this.#ports;
    for (let failures = 0; ; failures += 1) {
      try {
        this.#node = await ownNode(this.#options, this.#ports);
        await this.#renewLease();
        await this.look();
        return;
      } catch (error) {
        if (!hasReason(error, "ServiceUnavailable", "TooManyRequests") || signal.aborted) throw error;
        log.warn("node not registered yet", { problem: messageOf(error) });
        await clock.sleep(backoffMs(failures, { firstMs: REGISTER_FIRST_MS, maxMs: REGISTER_MAX_MS }), {
          signal,
        });
      }
    }
  }

  /** Renews and looks until the signal aborts. */
  async run(): Promise<void> {
    await Promise.all([
      this.#every(NODE_LEASE_RENEW_MS, "node lease not renewed", () => this.#renewLease()),
      this.#every(NODE_STATUS_LOOK_MS, "node status not written", () => this.look()),
    ]);
  }

  /** Writes the status if it changed, or if it is old. */
  async look(): Promise<void> {
    const { client, runtime, machine, clock, signal, pressure } = this.#ports;
    const { nodeName, dataFolder, apiPort, podsMax } = this.#options;
    const [health, images, disk] = await Promise.all([
      runtime.health({ signal }).catch((error: unknown) => ({
        ready: false,
        message: `container runtime is down: ${String(error)}`,
      })),
      runtime.images({ signal }).catch(() => []),
      machine.disk(dataFolder),
    ]);
    const written = this.#node?.status;
    const status = nodeStatus({
      machine,
      nodeName,
      runtimeVersion: runtime.version,
      simulated: runtime.simulated,
      health,
      pressure: pressure(),
      images,
      diskBytes: disk.totalBytes,
      written,
      nowMs: clock.nowMs(),
      apiPort,
      podsMax,
    });
    const old = clock.monotonicMs() - this.#writtenMs >= NODE_STATUS_WRITE_MS;
    if (!statusDiffers(written, status) && !old && this.#writtenMs > 0) return;
    try {
      this.#node = await client.patch(nodes, {
        name: nodeName,
        type: "merge",
        subresource: "status",
        body: { status },
        signal,
      });
      this.#writtenMs = Math.max(1, clock.monotonicMs());
      this.#checkAddresses();
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error;
      this.#node = await ownNode(this.#options, this.#ports); // somebody deleted it; a node that runs is there
    }
  }

  // A node that was deleted and made anew may have been given others.
  #checkAddresses(): void {
    const { usedCidr, nodeName } = this.#options;
    const given = this.#node?.spec?.podCIDR;
    if (usedCidr === undefined || given === undefined || given === usedCidr || given === this.#toldCidr)
      return;
    this.#toldCidr = given;
    this.#ports.log.error("the node was given other addresses for its pods; start the agent again", {
      node: nodeName,
      given,
      used: usedCidr,
    });
  }

  #renewLease(): Promise<void> {
    this.#lease = this.#lease.then(
      () => this.#writeLease(),
      () => this.#writeLease(),
    );
    return this.#lease;
  }

  async #writeLease(): Promise<void> {
    const { client, clock, signal } = this.#ports;
    const { nodeName } = this.#options;
    const namespace = "kube-node-lease";
    const renewTime = toMicroTime(clock.nowMs());
    try {
      await client.patch(leases, {
        name: nodeName,
        namespace,
        type: "merge",
        body: { spec: { renewTime, holderIdentity: nodeName } },
        signal,
      });
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error;
      const owner = this.#node;
      const ownerReferences =
        owner === undefined
          ? []
          : [{ apiVersion: "v1", kind: "Node", name: nodeName, uid: owner.metadata.uid }];
      const spec = { holderIdentity: nodeName, leaseDurationSeconds: NODE_LEASE_S, renewTime };
      await client.create(
        leases,
        { metadata: { name: nodeName, namespace, ownerReferences }, spec },
        { signal },
      );
    }
  }

  async #every(ms: number, failure: string, work: () => Promise<void>): Promise<void> {
    const { clock, signal, log } = this.#ports;
    while (!signal.aborted) {
      try {
        await clock.sleep(ms, { signal });
        await work();
      } catch (error) {
        if (!signal.aborted) log.warn(failure, { error });
      }
    }
  }
}
