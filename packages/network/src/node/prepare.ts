import { readFile, writeFile } from "node:fs/promises";
import type { Log } from "@cortado/std/log";
import type { NetworkTools } from "../nft.ts";

export type NodeNetwork = {
  readonly bridge: string;
  /** The bridge's own address, as "10.42.0.1/24". */
  readonly gateway: string;
  readonly podCidr: string;
  readonly clusterCidr: string;
  readonly serviceCidr: string;
  /** Put on the loopback: what this process answers itself, as the cluster's DNS. */
  readonly reservedIps: readonly string[];
  /** Its nft table is named so. */
  readonly table: string;
};

/**
 * Makes what pods need before the first one starts: their bridge, so that services have a route from the first moment (CNI takes it as
 * it is), and the way out. A pod that leaves the cluster does so by the node's address; within it, on whichever node, by its own.
 */
export async function prepareNode(
  network: NodeNetwork,
  { tools, log }: { readonly tools: NetworkTools; readonly log: Log },
): Promise<void> {
  const { bridge, gateway, podCidr, clusterCidr, table } = network;
  await removeOldGateways(network, tools);
  const steps: readonly (readonly string[])[] = [
    ["link", "add", bridge, "type", "bridge"],
    ["addr", "replace", gateway, "dev", bridge],
    ["link", "set", bridge, "up"],
    ["route", "replace", network.serviceCidr, "dev", bridge],
    ...network.reservedIps.map((ip) => ["addr", "replace", `${ip}/32`, "dev", "lo"]),
  ];
  for (const step of steps) {
    await tools.ip(step).catch((error: unknown) => {
      if (!/File exists/.test(String(error)))
        log.warn("network of the node not prepared", { step: step.join(" "), error });
    });
  }
  // Lets a service be answered by something on the node's loopback, and a node port be asked for there; the rules guard the loopback itself.
  await writeFile(`/proc/sys/net/ipv4/conf/${bridge}/route_localnet`, "1").catch((error: unknown) =>
    log.warn("services on the loopback do not work", { error }),
  );
  await forwardPackets(log);
  await tools.nft(`table ip ${table} {}
delete table ip ${table}
table ip ${table} {
  chain post {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${podCidr} ip daddr != { ${clusterCidr}, 224.0.0.0/4 } oifname != { "lo", "${bridge}" } masquerade
  }
}
`);
}

// A node that was deleted and joined anew may have other addresses for its pods than before.
async function removeOldGateways({ bridge, gateway }: NodeNetwork, tools: NetworkTools): Promise<void> {
  const shown = await tools.ip(["-4", "-o", "address", "show", "dev", bridge]).catch(() => "");
  for (const [, address = ""] of shown.matchAll(/\binet (\S+)/g))
    if (address !== gateway) await tools.ip(["address", "delete", address, "dev", bridge]);
}

const forwardSwitch = "/proc/sys/net/ipv4/ip_forward";

async function forwardPackets(log: Log): Promise<void> {
  const now = await readFile(forwardSwitch, "utf8").catch(() => "");
  if (now.trim() === "1") return;
  await writeFile(forwardSwitch, "1").catch((error: unknown) =>
    log.warn("the kernel forwards no packets: pods reach nothing outside", { error }),
  );
}
