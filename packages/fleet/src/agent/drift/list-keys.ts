import { fieldOf } from "@cortado/kinds/tree";

/** By which fields the items of a list are known (Kubernetes' list-map-keys), best first. */
const keys: Readonly<Record<string, readonly (readonly string[])[]>> = {
  containers: [["name"]],
  initContainers: [["name"]],
  ephemeralContainers: [["name"]],
  volumes: [["name"]],
  env: [["name"]],
  imagePullSecrets: [["name"]],
  secrets: [["name"]],
  webhooks: [["name"]],
  ports: [
    ["containerPort", "protocol"],
    ["port", "protocol"],
  ],
  volumeMounts: [["mountPath"]],
  volumeDevices: [["devicePath"]],
  hostAliases: [["ip"]],
  topologySpreadConstraints: [["topologyKey", "whenUnsatisfiable"]],
  ownerReferences: [["uid"]],
};

/** Undefined: the list is one value, and its order counts. */
export function keysOf(field: string, items: readonly unknown[]): readonly string[] | undefined {
  return keys[field]?.find(([first = ""]) => items.every((item) => fieldOf(item, first) !== undefined));
}
