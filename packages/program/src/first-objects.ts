import type { Client } from "@cortado/client";
import type { KubeObject } from "@cortado/kinds";
import { applyObject } from "./manifests.ts";

/** What a store has beside what the API server makes for itself: the default storage class, as K3s has it. */
const objects = [
  {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: "local-path", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    provisioner: "rancher.io/local-path",
    reclaimPolicy: "Delete",
    volumeBindingMode: "WaitForFirstConsumer",
  },
] as const;

/** Applies the store's own objects. */
export async function applyFirstObjects(client: Client, signal: AbortSignal): Promise<void> {
  for (const object of objects) await applyObject(client, object as unknown as KubeObject, signal);
}
