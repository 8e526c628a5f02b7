import type { Client } from "@cortado/client";
import { startInformer, type Informer } from "@cortado/client/informer";
import type {
  CronJob,
  DaemonSet,
  Deployment,
  Endpoints,
  EndpointSlice,
  Job,
  Lease,
  Namespace,
  Node,
} from "@cortado/kinds";
import type {
  ControllerRevision,
  KubeObject,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ReplicaSet,
} from "@cortado/kinds";
import type { ConfigMap, Service, ServiceAccount, StatefulSet, StorageClass } from "@cortado/kinds";
import * as types from "@cortado/kinds/resources";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";

/** One cache per kind, shared by all loops of the process. */
export type Caches = {
  readonly configMaps: Informer<ConfigMap>;
  readonly controllerRevisions: Informer<ControllerRevision>;
  readonly cronJobs: Informer<CronJob>;
  readonly daemonSets: Informer<DaemonSet>;
  readonly deployments: Informer<Deployment>;
  readonly endpoints: Informer<Endpoints>;
  readonly endpointSlices: Informer<EndpointSlice>;
  readonly jobs: Informer<Job>;
  readonly leases: Informer<Lease>;
  readonly namespaces: Informer<Namespace>;
  readonly nodes: Informer<Node>;
  readonly persistentVolumeClaims: Informer<PersistentVolumeClaim>;
  readonly persistentVolumes: Informer<PersistentVolume>;
  readonly pods: Informer<Pod>;
  readonly replicaSets: Informer<ReplicaSet>;
  readonly serviceAccounts: Informer<ServiceAccount>;
  readonly services: Informer<Service>;
  readonly statefulSets: Informer<StatefulSet>;
  readonly storageClasses: Informer<StorageClass>;
};

export type CachesOptions = { readonly clock: Clock; readonly log: Log; readonly signal: AbortSignal };

/** Index of each cache: objects by the uid of the controller that owns them, and by namespace. */
export const byController = "controller";
export const byNamespace = "namespace";

export function startCaches(client: Client, options: CachesOptions): Caches {
  const start = <Kind extends KubeObject>(
    type: types.ResourceType<Kind>,
    fieldSelector?: string,
  ): Informer<Kind> =>
    startInformer(client, type, {
      ...options,
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      indexes: {
        [byController]: (object) => controllerUids(object),
        [byNamespace]: (object) => [object.metadata.namespace ?? ""],
      },
    });
  return {
    // Only the one that the loop publishes: a store's other ConfigMaps need no second home in memory.
    configMaps: start(types.configMaps, "metadata.name=kube-root-ca.crt"),
    controllerRevisions: start(types.controllerRevisions),
    cronJobs: start(types.cronJobs),
    daemonSets: start(types.daemonSets),
    deployments: start(types.deployments),
    endpoints: start(types.endpoints),
    endpointSlices: start(types.endpointSlices),
    jobs: start(types.jobs),
    leases: start(types.leases),
    namespaces: start(types.namespaces),
    nodes: start(types.nodes),
    persistentVolumeClaims: start(types.persistentVolumeClaims),
    persistentVolumes: start(types.persistentVolumes),
    pods: start(types.pods),
    replicaSets: start(types.replicaSets),
    serviceAccounts: start(types.serviceAccounts),
    services: start(types.services),
    statefulSets: start(types.statefulSets),
    storageClasses: start(types.storageClasses),
  };
}

function controllerUids(object: KubeObject): readonly string[] {
  return (object.metadata.ownerReferences ?? [])
    .filter((owner) => owner.controller === true)
    .map((owner) => owner.uid);
}
