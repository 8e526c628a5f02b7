import type { Container, Pod } from "@cortado/kinds";
import { StatusError } from "@cortado/std/status";
import { quantity } from "../quantity.ts";
import { allContainers, specOf, type StoredPod } from "./pod.ts";

/** What a pod may learn of where it runs. */
export type Place = {
  readonly nodeName: string;
  readonly hostIps: readonly string[];
  readonly podIps: readonly string[];
  /** Of the node, for limits that a container does not set. */
  readonly allocatable: { readonly cpu: number; readonly memory: number };
};

type FieldRef = { readonly fieldPath: string };
type ResourceFieldRef = {
  readonly containerName?: string;
  readonly resource: string;
  readonly divisor?: string | number;
};

/** The value of a `fieldRef`. @throws StatusError "BadRequest" for a path that is not offered */
export function fieldValue(ref: FieldRef, pod: StoredPod, place: Place): string {
  const { metadata } = pod;
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(ref.fieldPath);
  if (subscript !== null)
    return (subscript[1] === "labels" ? metadata.labels : metadata.annotations)?.[subscript[2] ?? ""] ?? "";
  switch (ref.fieldPath) {
    case "metadata.name":
      return metadata.name;
    case "metadata.namespace":
      return metadata.namespace ?? "";
    case "metadata.uid":
      return metadata.uid;
    case "metadata.labels":
      return mapText(metadata.labels ?? {});
    case "metadata.annotations":
      return mapText(metadata.annotations ?? {});
    case "spec.nodeName":
      return place.nodeName;
    case "spec.serviceAccountName":
      return specOf(pod).serviceAccountName ?? "default";
    case "status.hostIP":
      return place.hostIps[0] ?? "";
    case "status.hostIPs":
      return place.hostIps.join(",");
    case "status.podIP":
      return place.podIps[0] ?? "";
    case "status.podIPs":
      return place.podIps.join(",");
    default:
      throw new StatusError(
        "BadRequest",
        `fieldRef ${ref.fieldPath} is not offered; see "kubectl explain pod.spec.containers.env.valueFrom.fieldRef"`,
      );
  }
}

/** The value of a `resourceFieldRef`. */
export function resourceValue(
  ref: ResourceFieldRef,
  own: Container | undefined,
  pod: Pod & StoredPod,
  place: Place,
): string {
  const named = allContainers(specOf(pod)).find(
    ({ container }) => container.name === ref.containerName,
  )?.container;
  const container = ref.containerName === undefined || ref.containerName === "" ? own : named;
  if (container === undefined)
    throw new StatusError(
      "BadRequest",
      `resourceFieldRef names container ${ref.containerName}, which the pod does not have`,
    );
  const [kind, name] = ref.resource.split(".") as ["limits" | "requests", string];
  const set = container.resources?.[kind]?.[name];
  const fallback = kind === "limits" && (name === "cpu" || name === "memory") ? place.allocatable[name] : 0;
  const divisor = quantity(ref.divisor ?? "1") || 1;
  return String(Math.ceil((set === undefined ? fallback : quantity(set)) / divisor));
}

// As upstream prints a map: sorted, one quoted pair a line.
function mapText(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .toSorted()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join("\n");
}
