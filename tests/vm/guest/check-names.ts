/** What the guest proves, in this order; the test outside expects one line for each. */
export const checkNames = [
  "cgroups are version 2 and nothing else",
  "the store is ready",
  "the node is Ready",
  "a container over its memory limit is OOMKilled with 137",
  "cpu, memory and pids limits stand in the pod's cgroup files",
  "the cpu limit slows the pod down",
  "the pods' usage is measured",
  "a removed pod leaves no cgroup",
  "functions say cgroup v2",
] as const;

/** The heavy part: interpreters, images of 56 MB, three services. */
export const heavyCheckNames = [
  "a function answers under its limits",
  "the shop's pods are Ready",
  "an order answers 201 through the ingress",
] as const;

export type CheckName = (typeof checkNames)[number] | (typeof heavyCheckNames)[number];
