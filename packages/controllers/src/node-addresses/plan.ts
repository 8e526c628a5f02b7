import { assert } from "@cortado/std/assert";

/** Addresses of one node's pods: a /24, as K3s gives them (kube-controller-manager, --node-cidr-mask-size). */
const NODE_BITS = 24;

/** The first share of the cluster's addresses that nobody has; undefined: all are given out. Pure. */
export function freeShare(clusterCidr: string, taken: ReadonlySet<string>): string | undefined {
  const [network = "", bits = "16"] = clusterCidr.split("/");
  const first = toNumber(network);
  const count = 2 ** Math.max(0, NODE_BITS - Number(bits));
  for (let at = 0; at < count; at += 1) {
    const share = `${toText(first + at * 2 ** (32 - NODE_BITS))}/${NODE_BITS}`;
    if (!taken.has(share)) return share;
  }
  return undefined;
}

function toNumber(address: string): number {
  const parts = address.split(".").map(Number);
  assert(
    parts.length === 4 && parts.every((part) => part >= 0 && part <= 255),
    `${address} is an IPv4 address`,
  );
  return parts.reduce((whole, part) => whole * 256 + part, 0);
}

function toText(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
}
