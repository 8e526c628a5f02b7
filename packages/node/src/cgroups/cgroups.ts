import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "@cortado/std/log";
import { POD_PIDS_MAX } from "../limits.ts";
import type { QosClass } from "../pods/pod.ts";

export type CgroupVersion = "v1" | "v2" | "none";

export type PodCgroup = {
  readonly uid: string;
  readonly qos: QosClass;
  readonly cpuMilli: number;
  readonly memoryLimitBytes: number | undefined;
};

/** The cgroups that hold pods: made before their sandbox, removed after it. */
export interface Cgroups {
  readonly version: CgroupVersion;
  /** Makes a pod's cgroup and answers the parent to give to the runtime; undefined when there are no cgroups to use. */
  makePod(pod: PodCgroup): Promise<string | undefined>;
  removePod(pod: Pick<PodCgroup, "uid" | "qos">): Promise<void>;
  /** Uids of the pods that have a cgroup, for the clean-up of what a power cut left. */
  pods(): Promise<readonly { readonly uid: string; readonly qos: QosClass }[]>;
  /** Removes the parent itself; for tests and for the end of a demo. */
  removeAll(): Promise<void>;
}

export type CgroupsOptions = {
  /** Where cgroups are mounted: /sys/fs/cgroup. */
  readonly root: string;
  /** Path of our own parent without slashes at its ends: "kubepods", "cortado/demo7". */
  readonly prefix: string;
  readonly log: Log;
};

const qosClasses: readonly QosClass[] = ["Guaranteed", "Burstable", "BestEffort"];

export function openCgroups(options: CgroupsOptions): Cgroups {
  const version = detect(options.root);
  const hierarchies = version === "v1" ? v1Hierarchies(options.root) : version === "v2" ? [options.root] : [];
  return {
    version,
    async makePod(pod) {
      if (hierarchies.length === 0) return undefined;
      const parent = podPath(options.prefix, pod);
      await (version === "v1" ? makeV1(options, parent, pod) : makeV2(options, parent, pod));
      return `/${parent}`;
    },
    removePod: (pod) => removeEverywhere(hierarchies, podPath(options.prefix, pod)),
    async pods() {
      const found = await Promise.all(
        qosClasses.map((qos) => listPods({ hierarchies, prefix: options.prefix, qos })),
      );
      return found.flat();
    },
    removeAll: () => removeEverywhere(hierarchies, options.prefix),
  };
}

/** v2 when the root is unified; a hybrid's almost empty v2 beside v1 counts as v1. */
function detect(root: string): CgroupVersion {
  if (existsSync(join(root, "cgroup.controllers"))) return "v2";
  return existsSync(join(root, "memory")) || existsSync(join(root, "cpu")) ? "v1" : "none";
}

function v1Hierarchies(root: string): readonly string[] {
  const names = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpu,cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "perf_event",
    "pids",
    "systemd",
  ];
  return names.map((name) => join(root, name)).filter((path) => existsSync(path));
}

function podPath(prefix: string, pod: Pick<PodCgroup, "uid" | "qos">): string {
  const group = pod.qos === "Guaranteed" ? "" : `${pod.qos.toLowerCase()}/`;
  return `${prefix}/${group}pod${pod.uid}`;
}

async function makeV1({ root, log }: CgroupsOptions, parent: string, pod: PodCgroup): Promise<void> {
  const put = (controller: string, file: string, value: number | string): Promise<void> =>
    set(join(root, controller, parent), file, String(value)).catch((error: unknown) =>
      log.debug("pod cgroup not limited", { controller, file, error }),
    );
  await put("pids", "pids.max", POD_PIDS_MAX);
  await put("cpu", "cpu.shares", Math.max(2, Math.floor((pod.cpuMilli * 1024) / 1_000)));
  if (pod.memoryLimitBytes !== undefined)
    await put("memory", "memory.limit_in_bytes", Math.floor(pod.memoryLimitBytes));
}

async function makeV2({ root, log }: CgroupsOptions, parent: string, pod: PodCgroup): Promise<void> {
  let at = root;
  for (const part of parent.split("/")) {
    await enableControllers(at, log);
    at = join(at, part);
    await mkdir(at, { recursive: true });
  }
  const put = (file: string, value: number | string): Promise<void> =>
    writeFile(join(at, file), String(value)).catch((error: unknown) =>
      log.debug("pod cgroup not limited", { file, error }),
    );
  await put("pids.max", POD_PIDS_MAX);
  // Shares 2 to 262144 map to weights 1 to 10000, as runc does.
  const shares = Math.max(2, Math.floor((pod.cpuMilli * 1024) / 1_000));
  await put("cpu.weight", Math.floor(1 + ((shares - 2) * 9_999) / 262_142));
  if (pod.memoryLimitBytes !== undefined) await put("memory.max", Math.floor(pod.memoryLimitBytes));
}

async function enableControllers(folder: string, log: Log): Promise<void> {
  const available = (await readFile(join(folder, "cgroup.controllers"), "utf8").catch(() => ""))
    .trim()
    .split(/\s+/);
  for (const name of ["cpu", "memory", "pids", "cpuset", "io"]) {
    if (!available.includes(name)) continue;
    await writeFile(join(folder, "cgroup.subtree_control"), `+${name}`).catch((error: unknown) =>
      log.debug("cgroup controller not handed down", { folder, name, error }),
    );
  }
}

async function set(folder: string, file: string, value: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, file), value);
}

async function removeEverywhere(hierarchies: readonly string[], path: string): Promise<void> {
  for (const hierarchy of hierarchies) await removeTree(join(hierarchy, path));
}

// A cgroup is removed by rmdir alone, its files are not; children first. One that still holds a process stays.
async function removeTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(folder, entry.name));
  await rmdir(folder).catch(() => undefined);
}

type ListPods = { readonly hierarchies: readonly string[]; readonly prefix: string; readonly qos: QosClass };

async function listPods({
  hierarchies,
  prefix,
  qos,
}: ListPods): Promise<readonly { uid: string; qos: QosClass }[]> {
  const group = qos === "Guaranteed" ? "" : qos.toLowerCase();
  const uids = new Set<string>();
  for (const hierarchy of hierarchies) {
    for (const name of await readdir(join(hierarchy, prefix, group)).catch(() => []))
      if (name.startsWith("pod")) uids.add(name.slice(3));
  }
  return [...uids].map((uid) => ({ uid, qos }));
}
