import type { StoredAs } from "../kind-info.ts";
import { at, fieldOf, listAt, setField, textAt, type Tree } from "../tree.ts";

// The same event under two names of each field (kubernetes, pkg/apis/events/v1/conversion.go).
const eventNames: readonly (readonly [string, string])[] = [
  ["note", "message"],
  ["regarding", "involvedObject"],
  ["reportingController", "reportingComponent"],
  ["deprecatedSource", "source"],
  ["deprecatedFirstTimestamp", "firstTimestamp"],
  ["deprecatedLastTimestamp", "lastTimestamp"],
  ["deprecatedCount", "count"],
];

function renamed(object: Tree, names: readonly (readonly [string, string])[], apiVersion: string): Tree {
  const map = new Map(names);
  const result: Tree = {};
  for (const [key, value] of Object.entries(object)) setField(result, map.get(key) ?? key, value);
  setField(result, "apiVersion", apiVersion);
  return result;
}

/** events.k8s.io/v1 over the core events. */
export const coreEvents: StoredAs = {
  group: "",
  version: "v1",
  plural: "events",
  toStored: (object) => renamed(object, eventNames, "v1"),
  fromStored: (object) =>
    renamed(
      object,
      eventNames.map(([one, other]) => [other, one] as const),
      "events.k8s.io/v1",
    ),
};

/** autoscaling/v1 over v2: only the CPU target has a place in v1. */
export const laterAutoscalers: StoredAs = {
  group: "autoscaling",
  version: "v2",
  plural: "horizontalpodautoscalers",
  toStored(object) {
    const spec: Tree = { ...(object["spec"] as Tree) };
    const percent = fieldOf(spec, "targetCPUUtilizationPercentage");
    delete spec["targetCPUUtilizationPercentage"];
    if (percent !== undefined)
      setField(spec, "metrics", [
        {
          type: "Resource",
          resource: { name: "cpu", target: { type: "Utilization", averageUtilization: percent } },
        },
      ]);
    return { ...object, apiVersion: "autoscaling/v2", spec };
  },
  fromStored(object) {
    const spec: Tree = { ...(object["spec"] as Tree) };
    const cpu = listAt(spec, "metrics").find((metric) => textAt(metric, "resource", "name") === "cpu");
    const percent = at(cpu, "resource", "target", "averageUtilization");
    delete spec["metrics"];
    delete spec["behavior"];
    if (percent !== undefined) setField(spec, "targetCPUUtilizationPercentage", percent);
    return { ...object, apiVersion: "autoscaling/v1", spec };
  },
};
