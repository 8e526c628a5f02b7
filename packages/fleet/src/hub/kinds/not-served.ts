import { done, newLoopMetrics, startLoop } from "@cortado/client/loop";
import { splitKey, startInformer } from "@cortado/client/informer";
import { helmOps, imageScans, type FleetCondition, type Unserved } from "@cortado/kinds/fleet";
import type { ResourceType } from "@cortado/kinds/resources";
import { newMetrics } from "@cortado/std/metrics";
import { hasReason } from "@cortado/std/status";
import { sameTree } from "@cortado/kinds/tree";
import type { Core } from "../core.ts";
import { withCondition } from "../status/summary.ts";

export const NOT_SERVED = "NotServed";

type Kind = "ImageScan" | "HelmOp";

type Refusal = {
  readonly type: ResourceType<Unserved<Kind>>;
  /** Those that upstream's clients look at for this kind. */
  readonly conditions: readonly string[];
  readonly message: string;
};

/** Kinds that are taken and come to life in a later release: what to do until then. */
const refusals: readonly Refusal[] = [
  {
    type: imageScans as ResourceType<Unserved<Kind>>,
    conditions: ["ImageScanned", "Ready"],
    message:
      "ImageScan is not served by this hub yet and comes in a later release: no tag is looked for and nothing is written to a repository. " +
      "Until then have your pipeline write the new tag into the repository and push it; the GitRepo brings it to the stores",
  },
  {
    type: helmOps as ResourceType<Unserved<Kind>>,
    conditions: ["Accepted", "Ready"],
    message:
      "HelmOp is not served by this hub yet and comes in a later release: no bundle is made of it. " +
      "Until then put a fleet.yaml with helm.chart, helm.repo and helm.version into a repository that a GitRepo follows",
  },
];

/** Says in the status of each such object that nothing will come of it, so that nobody waits. */
export function refuseKinds(core: Core): void {
  for (const refusal of refusals) refuseKind(core, refusal);
}

function refuseKind({ ports, signal }: Core, { type, conditions, message }: Refusal): void {
  const { client, clock, log } = ports;
  const informer = startInformer(client, type, { clock, log, signal });
  const round = async (key: string): Promise<void> => {
    const object = informer.get(key);
    if (object === undefined) return;
    let next: readonly FleetCondition[] = object.status?.conditions ?? [];
    for (const one of conditions)
      next = withCondition(next, { type: one, isTrue: false, reason: NOT_SERVED, message }, clock.nowMs());
    if (sameTree(next, object.status?.conditions)) return;
    const observedGeneration = object.metadata.generation ?? 0;
    const status = { conditions: next, observedGeneration };
    const where = { ...splitKey(key), subresource: "status", fieldManager: "cortado-hub", signal };
    await client.patch(type, { ...where, type: "merge", body: { status } }).catch((error: unknown) => {
      if (!hasReason(error, "NotFound")) throw error;
    });
  };
  const loop = startLoop({
    name: `fleet-${type.plural}`,
    reconcile: async (key) => {
      await round(key);
      return done;
    },
    ready: informer.synced,
    clock,
    log,
    metrics: newLoopMetrics(newMetrics()),
    signal,
  });
  informer.subscribe(({ key }) => loop.add(key));
}
