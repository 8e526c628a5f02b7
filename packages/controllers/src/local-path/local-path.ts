import type { Stored } from "@cortado/client";
import { done, startLoop, type Loop, type Outcome } from "@cortado/client/loop";
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from "@cortado/kinds";
import { persistentVolumeClaims, persistentVolumes } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";
import type { Context } from "../context.ts";
import { keysOf } from "../owned/wake.ts";

export const provisioner = "rancher.io/local-path";
const selectedNode = "volume.kubernetes.io/selected-node";
const volumeNode = "local.path.provisioner/selected-node";
const claimFinalizer = "kubernetes.io/pvc-protection";

export type LocalPathOptions = {
  /** Folder on the node under which volumes live. */
  readonly folder: string;
  /** Removes a volume's folder at its node; undefined: an old volume, of this machine. Rejects while the node is out of reach. */
  readonly removeFolder: (path: string, node: string | undefined) => Promise<void>;
};

/** Provides volumes as folders of the node, and binds claims to volumes. */
export function startLocalPathLoop(context: Context, options: LocalPathOptions): Loop {
  const { caches } = context;
  const loop = startLoop({
    ...context,
    name: "persistentvolume",
    metrics: context.loopMetrics,
    keys: () => keysOf(caches.persistentVolumeClaims),
    reconcile: (key) =>
      key.startsWith("volume:") ? release(key.slice(7), context, options) : reconcile(key, context, options),
  });
  caches.persistentVolumeClaims.subscribe(({ key, old }) => {
    loop.add(key);
    if (old?.spec?.volumeName !== undefined) loop.add(`volume:${old.spec.volumeName}`);
  });
  caches.persistentVolumes.subscribe(({ key, now }) => {
    const claim = now?.spec?.claimRef;
    if (claim !== undefined) loop.add(`${claim.namespace}/${claim.name}`);
    loop.add(`volume:${key}`);
  });
  // A claim in use may only go when its last pod is gone.
  caches.pods.subscribe(({ old, now }) => {
    if (now !== undefined && now.metadata.deletionTimestamp === undefined && old !== undefined) return;
    for (const { persistentVolumeClaim: claim } of (now ?? old)?.spec?.volumes ?? [])
      if (claim !== undefined) loop.add(`${(now ?? old)?.metadata.namespace}/${claim.claimName}`);
  });
  return loop;
}

async function reconcile(key: string, context: Context, options: LocalPathOptions): Promise<Outcome> {
  const claim = context.caches.persistentVolumeClaims.get(key);
  if (claim === undefined) return done;
  if (claim.metadata.deletionTimestamp !== undefined) return letClaimGo(claim, context);
  await protect(claim, context);
  if (claim.status?.phase === "Bound") return done;
  if (claim.spec?.volumeName !== undefined) return bind(claim, claim.spec.volumeName, context);
  const matching = findVolume(claim, context);
  if (matching !== undefined) return bind(claim, matching.metadata.name, context);
  const storageClass = context.caches.storageClasses.get(claim.spec?.storageClassName ?? "");
  if (storageClass === undefined || storageClass.provisioner !== provisioner) return done; // somebody else's class
  const node = claim.metadata.annotations?.[selectedNode];
  if (node === undefined && storageClass.volumeBindingMode !== "Immediate") {
    const message = "waiting for first consumer to be created before binding";
    context.recorder({
      object: claim,
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      type: "Normal",
      reason: "WaitForFirstConsumer",
      message,
    });
    return done;
  }
  return provide(
    claim,
    { storageClass, node: node ?? [...keysOf(context.caches.nodes)][0] },
    context,
    options,
  );
}

/** A claim in use must not go before its pods: the finalizer holds it. */
async function protect(claim: Stored<PersistentVolumeClaim>, { client, signal }: Context): Promise<void> {
  const finalizers = claim.metadata.finalizers ?? [];
  if (finalizers.includes(claimFinalizer)) return;
  const { name, namespace = "default", uid } = claim.metadata;
  const body = { metadata: { uid, finalizers: [...finalizers, claimFinalizer] } };
  await client.patch(persistentVolumeClaims, { name, namespace, type: "merge", body, signal });
}

/** A volume that a person made and that this claim fits. */
function findVolume(
  claim: Stored<PersistentVolumeClaim>,
  { caches }: Context,
): Stored<PersistentVolume> | undefined {
  const wanted = claim.spec?.storageClassName ?? "";
  return [...caches.persistentVolumes.list()].find((volume) => {
    const { claimRef, storageClassName = "", accessModes = [] } = volume.spec ?? {};
    if (claimRef !== undefined)
      return claimRef.namespace === claim.metadata.namespace && claimRef.name === claim.metadata.name;
    return (
      storageClassName === wanted &&
      (claim.spec?.accessModes ?? []).every((mode) => accessModes.includes(mode))
    );
  });
}

async function provide(
  claim: Stored<PersistentVolumeClaim>,
  { storageClass, node }: { readonly storageClass: Stored<StorageClass>; readonly node: string | undefined },
  { client, signal, recorder }: Context,
  options: LocalPathOptions,
): Promise<Outcome> {
  if (node === undefined) return done; // comes again when a node does
  const { name: claimName, namespace = "default", uid } = claim.metadata;
  const name = `pvc-${uid}`;
  const affinity = {
    nodeSelectorTerms: [
      { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In" as const, values: [node] }] },
    ],
  };
  const volume = {
    metadata: {
      name,
      annotations: {
        "pv.kubernetes.io/provisioned-by": provisioner,
        [volumeNode]: node,
      },
    },
    spec: {
      accessModes: claim.spec?.accessModes ?? ["ReadWriteOnce"],
      capacity: { storage: claim.spec?.resources?.requests?.["storage"] ?? "1Gi" },
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", name: claimName, namespace, uid },
      hostPath: { path: `${options.folder}/${name}_${namespace}_${claimName}`, type: "DirectoryOrCreate" },
      nodeAffinity: { required: affinity },
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? "Delete",
      storageClassName: storageClass.metadata.name,
      volumeMode: "Filesystem",
    },
  };
  try {
    await client.create<PersistentVolume>(persistentVolumes, volume as never, { signal });
  } catch (error) {
    if (!hasReason(error, "AlreadyExists")) throw error;
  }
  const message = `Successfully provisioned volume ${name}`;
  recorder({
    object: claim,
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    type: "Normal",
    reason: "ProvisioningSucceeded",
    message,
  });
  return done; // the volume's appearance binds the claim
}

async function bind(
  claim: Stored<PersistentVolumeClaim>,
  volumeName: string,
  { caches, client, signal }: Context,
): Promise<Outcome> {
  const volume = caches.persistentVolumes.get(volumeName);
  if (volume === undefined) return done;
  const { name, namespace = "default", uid } = claim.metadata;
  const claimRef = { apiVersion: "v1", kind: "PersistentVolumeClaim", name, namespace, uid };
  if (volume.spec?.claimRef?.uid !== uid)
    await client.patch(persistentVolumes, {
      name: volumeName,
      type: "merge",
      body: { spec: { claimRef } },
      signal,
    });
  const bound = { status: { phase: "Bound" } };
  await client.patch(persistentVolumes, {
    name: volumeName,
    type: "merge",
    body: bound,
    subresource: "status",
    signal,
  });
  if (claim.spec?.volumeName !== volumeName) {
    const annotations = {
      "pv.kubernetes.io/bind-completed": "yes",
      "pv.kubernetes.io/bound-by-controller": "yes",
    };
    const body = { metadata: { annotations }, spec: { volumeName } };
    await client.patch(persistentVolumeClaims, { name, namespace, type: "merge", body, signal });
  }
  const status = { phase: "Bound", accessModes: volume.spec?.accessModes, capacity: volume.spec?.capacity };
  await client.patch(persistentVolumeClaims, {
    name,
    namespace,
    type: "merge",
    body: { status },
    subresource: "status",
    signal,
  });
  return done;
}

async function letClaimGo(
  claim: Stored<PersistentVolumeClaim>,
  { caches, client, signal }: Context,
): Promise<Outcome> {
  const finalizers = claim.metadata.finalizers ?? [];
  if (!finalizers.includes(claimFinalizer)) return done;
  const { name, namespace = "default", resourceVersion } = claim.metadata;
  const inUse = [...caches.pods.list()].some(
    (pod) =>
      pod.metadata.namespace === namespace &&
      (pod.spec?.volumes ?? []).some((volume) => volume.persistentVolumeClaim?.claimName === name),
  );
  if (inUse) return done;
  const left = finalizers.filter((one) => one !== claimFinalizer);
  const body = { metadata: { resourceVersion, finalizers: left.length === 0 ? null : left } };
  await client.patch(persistentVolumeClaims, { name, namespace, type: "merge", body, signal });
  return done;
}

/** A volume whose claim is gone: deleted with its data, or kept as Released, as its reclaim policy says. */
async function release(
  name: string,
  { caches, client, signal }: Context,
  options: LocalPathOptions,
): Promise<Outcome> {
  const volume = caches.persistentVolumes.get(name);
  const claimRef = volume?.spec?.claimRef;
  if (volume === undefined || claimRef === undefined) return done;
  const claim = caches.persistentVolumeClaims.get(`${claimRef.namespace}/${claimRef.name}`);
  if (claim !== undefined && (claimRef.uid === undefined || claim.metadata.uid === claimRef.uid)) return done;
  if (volume.status?.phase !== "Bound" && volume.status?.phase !== "Released") return done; // made, but never bound
  const ours = volume.metadata.annotations?.["pv.kubernetes.io/provisioned-by"] === provisioner;
  const path = volume.spec?.hostPath?.path;
  if (
    volume.spec?.persistentVolumeReclaimPolicy === "Delete" &&
    ours &&
    path?.startsWith(`${options.folder}/`) === true
  ) {
    await options.removeFolder(path, volume.metadata.annotations?.[volumeNode]);
    await client.delete(persistentVolumes, { name, signal });
  } else if (volume.status?.phase !== "Released") {
    const body = { status: { phase: "Released" } };
    await client.patch(persistentVolumes, { name, type: "merge", body, subresource: "status", signal });
  }
  return done;
}
