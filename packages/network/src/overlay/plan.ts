import type { Node } from "@cortado/kinds";
import { isIpv4 } from "../services/plan.ts";

/** Another node: its pods' addresses, and where it is. */
export type Peer = { readonly podCidr: string; readonly ip: string };

export const overlayBackends = ["vxlan", "host-gw"] as const;
export type OverlayBackend = (typeof overlayBackends)[number];

/** flannel's numbers, so that a firewall that lets K3s through lets us (flannel, pkg/backend/vxlan). */
const VNI = 1;
const PORT = 8472;
export const OVERLAY_DEVICE = "cortado.1";
/** Marks our routes, so that those of an earlier process are known again. */
export const ROUTE_PROTOCOL = "201";
/** Ethernet, IPv4, UDP and VXLAN around a packet. */
const VXLAN_BYTES = 50;

export type OverlayPlace = {
  readonly backend: OverlayBackend;
  readonly nodeIp: string;
  readonly podCidr: string;
};

export type Command = { readonly tool: "ip" | "bridge"; readonly words: readonly string[] };

/** The nodes beside this one whose pods can be reached, in a fixed order; one that has not said its address is left out. Pure. */
export function peersOf(nodes: Iterable<Node>, ownName: string): readonly Peer[] {
  const peers: Peer[] = [];
  for (const { metadata, spec, status } of nodes) {
    const ip = status?.addresses?.find(
      ({ type, address }) => type === "InternalIP" && isIpv4(address),
    )?.address;
    const podCidr = spec?.podCIDR;
    if (metadata?.name !== ownName && ip !== undefined && podCidr !== undefined) peers.push({ podCidr, ip });
  }
  return peers.toSorted((one, other) => (one.podCidr < other.podCidr ? -1 : 1));
}

/** Makes the device that packets to other nodes go into. */
export function deviceCommands({ nodeIp, podCidr }: OverlayPlace, lineMtu: number): readonly Command[] {
  const name = OVERLAY_DEVICE;
  return [
    ip(
      "link",
      "add",
      name,
      "address",
      hardwareAddress(podCidr),
      "mtu",
      String(lineMtu - VXLAN_BYTES),
      "type",
      "vxlan",
      ...["id", String(VNI), "local", nodeIp, "dstport", String(PORT), "nolearning"],
    ),
    ip("address", "replace", `${network(podCidr)}/32`, "dev", name),
    ip("link", "set", name, "up"),
  ];
}

/** True for a device that `deviceCommands` has made, as `ip -d link show` tells of it. */
export function isOwnDevice(shown: string, { nodeIp, podCidr }: OverlayPlace): boolean {
  return [`vxlan id ${VNI} `, ` local ${nodeIp} `, ` dstport ${PORT} `, hardwareAddress(podCidr)].every(
    (part) => shown.includes(part),
  );
}

/** Leads packets for the pods of a node to it. May be repeated. */
export function reachCommands(place: OverlayPlace, { podCidr, ip: address }: Peer): readonly Command[] {
  if (place.backend === "host-gw")
    return [ip("route", "replace", podCidr, "via", address, "protocol", ROUTE_PROTOCOL)];
  const [device, hardware] = [OVERLAY_DEVICE, hardwareAddress(podCidr)];
  return [
    {
      tool: "bridge",
      words: ["fdb", "replace", hardware, "dev", device, "dst", address, "self", "permanent"],
    },
    ip("neighbour", "replace", network(podCidr), "lladdr", hardware, "dev", device, "nud", "permanent"),
    ip(
      "route",
      "replace",
      podCidr,
      "via",
      network(podCidr),
      "dev",
      device,
      "onlink",
      "protocol",
      ROUTE_PROTOCOL,
    ),
  ];
}

/** Takes that away; what is not there is no error for who runs it. */
export function forgetCommands({ backend }: OverlayPlace, podCidr: string): readonly Command[] {
  const route = ip("route", "delete", podCidr, "protocol", ROUTE_PROTOCOL);
  if (backend === "host-gw") return [route];
  const [device, hardware] = [OVERLAY_DEVICE, hardwareAddress(podCidr)];
  return [
    route,
    ip("neighbour", "delete", network(podCidr), "dev", device),
    { tool: "bridge", words: ["fdb", "delete", hardware, "dev", device, "self"] },
  ];
}

/** The shares that routes of ours lead to, as `ip route show protocol` tells of them. */
export function routedShares(shown: string): readonly string[] {
  return [...shown.matchAll(/^(\d+\.\d+\.\d+\.\d+\/\d+) /gm)].map(([, share = ""]) => share);
}

function ip(...words: readonly string[]): Command {
  return { tool: "ip", words };
}

function network(podCidr: string): string {
  return podCidr.split("/")[0] ?? "";
}

/** Made of a node's share, which nobody else has: nodes need not tell each other. The second bit says that nobody sold it. */
function hardwareAddress(podCidr: string): string {
  return [
    "0a",
    "58",
    ...network(podCidr)
      .split(".")
      .map((part) => Number(part).toString(16).padStart(2, "0")),
  ].join(":");
}
