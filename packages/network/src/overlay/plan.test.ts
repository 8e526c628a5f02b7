import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node } from "@cortado/kinds";
import { deviceCommands, forgetCommands, isOwnDevice, peersOf, reachCommands, routedShares } from "./plan.ts";

const place = { backend: "vxlan", nodeIp: "192.0.2.1", podCidr: "10.42.1.0/24" } as const;
const peer = { podCidr: "10.42.12.0/24", ip: "192.0.2.9" };

function node(name: string, podCIDR: string | undefined, address: string | undefined): Node {
  const addresses =
    address === undefined
      ? []
      : [
          { type: "Hostname", address: name },
          { type: "InternalIP", address },
        ];
  return {
    metadata: { name },
    spec: podCIDR === undefined ? {} : { podCIDR },
    status: { addresses },
  } as unknown as Node;
}

test("peers are the other nodes that have addresses for pods and one of their own", () => {
  const all = [
    node("c", "10.42.3.0/24", "192.0.2.3"),
    node("own", "10.42.1.0/24", "192.0.2.1"),
    node("new", undefined, "192.0.2.4"),
    node("silent", "10.42.5.0/24", undefined),
    node("six", "10.42.6.0/24", "2001:db8::6"),
    node("b", "10.42.2.0/24", "192.0.2.2"),
  ];
  assert.deepEqual(peersOf(all, "own"), [
    { podCidr: "10.42.2.0/24", ip: "192.0.2.2" },
    { podCidr: "10.42.3.0/24", ip: "192.0.2.3" },
  ]);
});

test("a vxlan node is reached by a hardware address that its share makes", () => {
  const lines = reachCommands(place, peer).map(({ tool, words }) => `${tool} ${words.join(" ")}`);
  assert.deepEqual(lines, [
    "bridge fdb replace 0a:58:0a:2a:0c:00 dev cortado.1 dst 192.0.2.9 self permanent",
    "ip neighbour replace 10.42.12.0 lladdr 0a:58:0a:2a:0c:00 dev cortado.1 nud permanent",
    "ip route replace 10.42.12.0/24 via 10.42.12.0 dev cortado.1 onlink protocol 201",
  ]);
  assert.match(
    deviceCommands(place, 1500)[0]?.words.join(" ") ?? "",
    /address 0a:58:0a:2a:01:00 mtu 1450 type vxlan id 1 local 192\.0\.2\.1 dstport 8472 nolearning$/,
  );
  assert.equal(forgetCommands(place, peer.podCidr).length, 3);
});

test("a host-gw node is reached by a plain route", () => {
  const [only, ...more] = reachCommands({ ...place, backend: "host-gw" }, peer);
  assert.equal(only?.words.join(" "), "route replace 10.42.12.0/24 via 192.0.2.9 protocol 201");
  assert.deepEqual(more, []);
});

test("a device of another address is not taken for ours", () => {
  const shown = (ip: string): string =>
    `5: cortado.1: <BROADCAST> mtu 1450 link/ether 0a:58:0a:2a:01:00 brd ff:ff promiscuity 0 vxlan id 1 local ${ip} srcport 0 0 dstport 8472 nolearning ttl auto`;
  assert.equal(isOwnDevice(shown("192.0.2.1"), place), true);
  assert.equal(isOwnDevice(shown("192.0.2.100"), place), false);
  assert.equal(isOwnDevice("", place), false);
});

test("routes of an earlier process are read back", () => {
  const shown = "10.42.2.0/24 via 10.42.2.0 dev cortado.1 onlink \n10.42.3.0/24 via 192.0.2.3 dev up0 \n";
  assert.deepEqual(routedShares(shown), ["10.42.2.0/24", "10.42.3.0/24"]);
});
