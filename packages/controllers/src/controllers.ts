import type { Client } from "@cortado/client";
import type { LoopMetrics } from "@cortado/client/loop";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { startCaches } from "./caches.ts";
import type { Context } from "./context.ts";
import { startCronJobLoop } from "./cron-job/cron-job.ts";
import { startDaemonSetLoop } from "./daemon-set/daemon-set.ts";
import { startDeploymentLoop } from "./deployment/deployment.ts";
import { startEndpointSliceLoop } from "./endpoint-slice/endpoint-slice.ts";
import { newRecorder } from "./events.ts";
import { startGarbageLoop } from "./garbage/garbage.ts";
import { startJobLoop } from "./job/job.ts";
import { startLocalPathLoop, type LocalPathOptions } from "./local-path/local-path.ts";
import { startNamespaceLoop } from "./namespace/namespace.ts";
import { startNodeAddressesLoop } from "./node-addresses/node-addresses.ts";
import { startNodeLifeLoop } from "./node-life/node-life.ts";
import { startReplicaSetLoop } from "./replica-set/replica-set.ts";
import { startServiceAccountLoop } from "./service-account/service-account.ts";
import { startStatefulSetLoop } from "./stateful-set/stateful-set.ts";

export type ControllersOptions = {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly loopMetrics: LoopMetrics;
  /** PEM of the authority that pods verify the API server with; asked each time, as it may be renewed. */
  readonly clusterCa: () => string;
  readonly localPath: LocalPathOptions;
  /** Addresses of all pods, of which each node gets a share. */
  readonly clusterCidr: string;
  /** The share of this server's own node, which nobody else gets. */
  readonly ownShare?: string;
};

/** Starts all loops over one set of caches; disposing stops them and waits for the rounds that run. */
export function startControllers(options: ControllersOptions): AsyncDisposable {
  const { client, clock, random, log } = options;
  const stop = new AbortController();
  const { signal } = stop;
  const caches = startCaches(client, { clock, log, signal });
  const context: Context = {
    caches,
    ready: Promise.all(Object.values(caches).map((cache) => cache.synced)),
    client,
    clock,
    random,
    log,
    loopMetrics: options.loopMetrics,
    recorder: newRecorder({ client, component: "controller-manager", clock, random, log, signal }),
    signal,
  };
  const loops = [
    startNamespaceLoop(context),
    startServiceAccountLoop(context, { clusterCa: options.clusterCa }),
    startReplicaSetLoop(context),
    startDeploymentLoop(context),
    startStatefulSetLoop(context),
    startDaemonSetLoop(context),
    startJobLoop(context),
    startCronJobLoop(context),
    startEndpointSliceLoop(context),
    startLocalPathLoop(context, options.localPath),
    startNodeLifeLoop(context),
    startNodeAddressesLoop(context, options),
    startGarbageLoop(context),
  ];
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("the controllers stop"));
      await Promise.all(loops.map((loop) => loop.idle()));
    },
  };
}
