import { again, done, startLoop, type Loop } from "@cortado/client/loop";
import { nodes } from "@cortado/kinds/resources";
import type { Context } from "../context.ts";
import { NODE_ADDRESSES_WAIT_MS } from "../limits.ts";
import { keysOf } from "../owned/wake.ts";
import { freeShare } from "./plan.ts";

/** Gives each node addresses for its pods, once: spec.podCIDR is not changed afterwards. */
export function startNodeAddressesLoop(
  context: Context,
  { clusterCidr, ownShare }: { readonly clusterCidr: string; readonly ownShare?: string },
): Loop {
  const { caches, client, signal, recorder } = context;
  const loop = startLoop({
    ...context,
    name: "node_addresses",
    metrics: context.loopMetrics,
    keys: () => keysOf(caches.nodes),
    workers: 1, // two at once would give out the same
    async reconcile(name) {
      const node = caches.nodes.get(name);
      if (node === undefined || node.spec?.podCIDR !== undefined) return done;
      const taken = new Set([...caches.nodes.list()].flatMap(({ spec }) => spec?.podCIDR ?? []));
      if (ownShare !== undefined) taken.add(ownShare);
      const share = freeShare(clusterCidr, taken);
      if (share === undefined) {
        const message = `all addresses of ${clusterCidr} are given out; delete a node, or start the server with a larger --cluster-cidr`;
        recorder({
          object: node,
          apiVersion: "v1",
          kind: "Node",
          type: "Warning",
          reason: "CIDRNotAvailable",
          message,
        });
        return again(NODE_ADDRESSES_WAIT_MS);
      }
      const { resourceVersion } = node.metadata;
      const body = { metadata: { resourceVersion }, spec: { podCIDR: share, podCIDRs: [share] } };
      const written = await client.patch(nodes, { name, type: "merge", body, signal });
      await caches.nodes.seen(written.metadata.resourceVersion); // the next node must not get the same
      return done;
    },
  });
  caches.nodes.subscribe(({ key, now }) => {
    if (now !== undefined && now.spec?.podCIDR === undefined) loop.add(key);
  });
  return loop;
}
