import type { Client, Stored } from "@cortado/client";
import { startInformer } from "@cortado/client/informer";
import type { Deployment } from "@cortado/kinds";
import { deployments } from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Random } from "@cortado/std/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { POD_MS_MAX } from "./limits.ts";
import type { Process } from "./ports.ts";

/** Controllers and node of a store in one: Deployments become available after a while, but for those whose image is bad. */
export function runPods(options: {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly machine: Process;
}): void {
  const { client, clock, random, machine } = options;
  const stop = new AbortController();
  const signal = stop.signal;
  machine.atEnd(() => stop.abort(new Error("the power is off")));
  const informer = startInformer(client, deployments, { clock, log: silentLog, signal });
  informer.subscribe(({ now }) => {
    if (now === undefined || now.status?.observedGeneration === now.metadata.generation) return;
    clock.after(200 + random.integer(POD_MS_MAX), () => void tell(client, now, signal));
  });
}

async function tell(client: Client, deployment: Stored<Deployment>, signal: AbortSignal): Promise<void> {
  const { name, namespace = "", generation } = deployment.metadata;
  const isBad = deployment.spec?.template.spec?.containers[0]?.image?.includes("bad") === true;
  const available = isBad ? 0 : 1;
  const status = {
    observedGeneration: generation,
    replicas: 1,
    updatedReplicas: 1,
    availableReplicas: available,
  };
  const where = { name: name ?? "", namespace, subresource: "status", signal } as const;
  await client.patch(deployments, { ...where, type: "merge", body: { status } }).catch(() => undefined);
}
