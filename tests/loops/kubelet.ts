import type { Stored } from "@cortado/client";
import type { Pod } from "@cortado/kinds";
import { pods } from "@cortado/kinds/resources";
import { toTime } from "@cortado/std/clock";
import type { LoopWorld } from "./world.ts";

/** Does for bound pods what a node would: makes them Ready, ends them when asked, or lets them finish. */
export async function runPods(
  world: LoopWorld,
  options: { readonly finish?: "Succeeded" | "Failed"; readonly broken?: (pod: Pod) => boolean } = {},
): Promise<void> {
  const { client, signal, clock } = world;
  const { items } = await client.list(pods, { signal });
  for (const [at, pod] of items.entries()) {
    const { name, namespace = "default" } = pod.metadata;
    if (pod.metadata.deletionTimestamp !== undefined) {
      await client.delete(pods, { name, namespace, gracePeriodSeconds: 0, signal });
      continue;
    }
    if (pod.spec?.nodeName === undefined || isFinished(pod)) continue;
    const ready = options.finish === undefined && options.broken?.(pod) !== true;
    if (ready && pod.status?.phase === "Running") continue;
    const condition = {
      type: "Ready",
      status: ready ? "True" : "False",
      lastTransitionTime: toTime(clock.nowMs()),
    };
    const phase = options.finish ?? "Running";
    const status = {
      phase,
      podIP: `10.42.0.${at + 10}`,
      podIPs: [{ ip: `10.42.0.${at + 10}` }],
      conditions: [condition],
    };
    await client.patch(pods, {
      name,
      namespace,
      type: "strategic",
      body: { status },
      subresource: "status",
      signal,
    });
  }
}

function isFinished(pod: Stored<Pod>): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}
