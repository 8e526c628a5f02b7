import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import type { Client, Stored } from "@cortado/client";
import { startInformer } from "@cortado/client/informer";
import { done, startLoop, type LoopMetrics } from "@cortado/client/loop";
import type { Node } from "@cortado/kinds";
import { nodes } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { messageOf } from "@cortado/std/status";
import { LINE_MTU, RULES_GATHER_MS } from "../limits.ts";
import type { NetworkTools } from "../nft.ts";
import {
  deviceCommands,
  forgetCommands,
  isOwnDevice,
  OVERLAY_DEVICE,
  peersOf,
  reachCommands,
  ROUTE_PROTOCOL,
  routedShares,
  type Command,
  type OverlayPlace,
} from "./plan.ts";

export type OverlayOptions = OverlayPlace & { readonly nodeName: string };

export type OverlayPorts = {
  readonly client: Client;
  readonly tools: NetworkTools;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: LoopMetrics;
  readonly signal: AbortSignal;
};

/**
 * Keeps the pods of other nodes within reach. While there is no other node there is no device, no port and no route; what was made
 * stays in force when this process ends.
 */
export function startOverlay(options: OverlayOptions, ports: OverlayPorts): void {
  const informer = startInformer(ports.client, nodes, { ...ports, keep: addressesOnly });
  const overlay = new Overlay(options, ports);
  const loop = startLoop({
    ...ports,
    name: "overlay",
    ready: informer.synced,
    keys: () => ["all"],
    async reconcile() {
      await overlay.reach(informer.list());
      return done;
    },
  });
  informer.subscribe(({ old, now }) => {
    if (viewOf(old) !== viewOf(now)) loop.addAfter("all", RULES_GATHER_MS);
  });
}

class Overlay {
  readonly #options: OverlayOptions;
  readonly #ports: OverlayPorts;
  /** Where each share is led to; undefined: it is not known what is in the kernel. */
  #led: Map<string, string> | undefined;
  #hasDevice = false;

  constructor(options: OverlayOptions, ports: OverlayPorts) {
    this.#options = options;
    this.#ports = ports;
  }

  async reach(all: Iterable<Node>): Promise<void> {
    const peers = peersOf(all, this.#options.nodeName);
    const led = this.#led ?? (await this.#ledBefore());
    this.#led = undefined; // until this round has gone well
    const wanted = new Map(peers.map(({ podCidr, ip }) => [podCidr, ip]));
    if (peers.length > 0) await this.#makeDevice();
    for (const podCidr of led.keys())
      if (!wanted.has(podCidr)) {
        await this.#runAll(forgetCommands(this.#options, podCidr), { mayFail: true });
        this.#ports.log.info("the pods of a node are out of reach", { podCidr });
      }
    for (const peer of peers) {
      if (led.get(peer.podCidr) === peer.ip) continue;
      await this.#runAll(reachCommands(this.#options, peer), { mayFail: false });
      this.#ports.log.info("the pods of a node are within reach", { ...peer, by: this.#options.backend });
    }
    if (peers.length === 0 && led.size > 0) await this.#removeDevice();
    this.#led = wanted;
  }

  /** What an earlier process led to; to where is not looked at, as it is written anew. */
  async #ledBefore(): Promise<Map<string, string>> {
    const shown = await this.#ports.tools.ip(["-4", "route", "show", "protocol", ROUTE_PROTOCOL]);
    return new Map(routedShares(shown).map((share) => [share, ""]));
  }

  async #makeDevice(): Promise<void> {
    if (this.#hasDevice || this.#options.backend !== "vxlan") return;
    const { tools } = this.#ports;
    const shown = await tools.ip(["-d", "link", "show", OVERLAY_DEVICE]).catch(() => "");
    if (!isOwnDevice(shown, this.#options)) {
      if (shown !== "") await tools.ip(["link", "delete", OVERLAY_DEVICE]);
      await this.#runAll(deviceCommands(this.#options, await mtuOf(this.#options.nodeIp)), {
        mayFail: false,
      });
    }
    this.#hasDevice = true;
  }

  async #removeDevice(): Promise<void> {
    this.#hasDevice = false;
    if (this.#options.backend !== "vxlan") return;
    await this.#runAll([{ tool: "ip", words: ["link", "delete", OVERLAY_DEVICE] }], { mayFail: true });
  }

  async #runAll(commands: readonly Command[], { mayFail }: { readonly mayFail: boolean }): Promise<void> {
    const { tools, log } = this.#ports;
    for (const { tool, words } of commands) {
      try {
        await tools[tool](words);
      } catch (error) {
        if (!mayFail) throw error;
        log.debug("what was to be taken away is not there", {
          words: words.join(" "),
          problem: messageOf(error),
        });
      }
    }
  }
}

/** The largest packet of the line that has this address. */
async function mtuOf(nodeIp: string): Promise<number> {
  const found = Object.entries(networkInterfaces()).find(([, addresses = []]) =>
    addresses.some(({ address }) => address === nodeIp),
  );
  const text = await readFile(`/sys/class/net/${found?.[0] ?? "none"}/mtu`, "utf8").catch(() => "");
  return Number.parseInt(text, 10) || LINE_MTU;
}

/** All that is kept of a node. */
function addressesOnly({ apiVersion, kind, metadata, spec, status }: Stored<Node>): Stored<Node> {
  const { name, uid, resourceVersion } = metadata;
  return {
    ...(apiVersion === undefined ? {} : { apiVersion }),
    ...(kind === undefined ? {} : { kind }),
    metadata: { name, uid, resourceVersion },
    ...(spec?.podCIDR === undefined ? {} : { spec: { podCIDR: spec.podCIDR } }),
    ...(status?.addresses === undefined ? {} : { status: { addresses: status.addresses } }),
  } as Stored<Node>;
}

function viewOf(node: Stored<Node> | undefined): string {
  return JSON.stringify([node?.spec?.podCIDR, node?.status?.addresses]);
}
