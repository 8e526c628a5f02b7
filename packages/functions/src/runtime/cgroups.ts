import { mkdir, readFile, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where limits of a process group are written. */
export type Limits = { readonly memoryBytes: number; readonly pids: number; readonly milliCpu: number };

export interface Cgroup {
  /** Files into which a process writes its id to be limited. */
  readonly joinFiles: readonly string[];
  set(limits: Limits): Promise<void>;
  /** Times the kernel has killed something in it for memory. */
  oomKills(): Promise<number>;
  pids(): Promise<readonly number[]>;
  /** Goes when its last process has; `wait` is called between tries. */
  remove(wait: () => Promise<void>): Promise<void>;
}

export interface Cgroups {
  /** For status: "cgroup v1: memory,pids,cpu". */
  readonly text: string;
  make(name: string): Promise<Cgroup>;
  /** Removes the parent, when it is ours alone and empty. */
  removeParent(): Promise<void>;
}

const root = "/sys/fs/cgroup";
const wanted = ["memory", "pids", "cpu"] as const;
const CPU_PERIOD_US = 100_000;

/** What of cgroups can be written under this parent ("/cortado-042/functions"); undefined when nothing can. */
export async function findCgroups(parent: string): Promise<Cgroups | undefined> {
  return (await exists(join(root, "cgroup.controllers"))) ? findV2(parent) : findV1(parent);
}

async function findV1(parent: string): Promise<Cgroups | undefined> {
  const usable: string[] = [];
  for (const controller of wanted) {
    const folder = join(root, controller, parent);
    const isMounted = await exists(join(root, controller, "tasks"));
    if (
      isMounted &&
      (await quietly(mkdir(folder, { recursive: true }))) &&
      (await exists(join(folder, "cgroup.procs")))
    )
      usable.push(controller);
  }
  if (usable.length === 0) return undefined;
  return {
    text: `cgroup v1: ${usable.join(",")}`,
    async make(name) {
      const folders = usable.map((controller) => join(root, controller, parent, name));
      for (const folder of folders) await mkdir(folder, { recursive: true });
      return v1Cgroup(new Map(usable.map((controller, at) => [controller, folders[at] ?? ""])));
    },
    async removeParent() {
      for (const controller of usable) await quietly(rmdir(join(root, controller, parent)));
    },
  };
}

function v1Cgroup(folders: ReadonlyMap<string, string>): Cgroup {
  const at = (controller: string, file: string): string | undefined => {
    const folder = folders.get(controller);
    return folder === undefined ? undefined : join(folder, file);
  };
  const files = [...folders.values()].map((folder) => join(folder, "cgroup.procs"));
  return {
    joinFiles: files,
    async set({ memoryBytes, pids, milliCpu }) {
      await put(at("memory", "memory.limit_in_bytes"), String(memoryBytes));
      await put(at("pids", "pids.max"), String(pids));
      await put(at("cpu", "cpu.cfs_period_us"), String(CPU_PERIOD_US));
      await put(at("cpu", "cpu.cfs_quota_us"), String(quotaOf(milliCpu)));
    },
    async oomKills() {
      const file = at("memory", "memory.oom_control");
      return file === undefined ? 0 : Number(/oom_kill (\d+)/.exec(await readText(file))?.[1] ?? 0);
    },
    pids: () => pidsIn(files[0]),
    remove: (wait) => removeFolders([...folders.values()], wait),
  };
}

async function findV2(parent: string): Promise<Cgroups | undefined> {
  const parts = parent.split("/").filter((part) => part !== "");
  let folder = root;
  for (const part of [...parts, ""]) {
    for (const controller of wanted)
      await quietly(writeFile(join(folder, "cgroup.subtree_control"), `+${controller}`));
    if (part === "") break;
    folder = join(folder, part);
    if (!(await quietly(mkdir(folder, { recursive: true })))) return undefined;
  }
  const enabled = (await readText(join(folder, "cgroup.subtree_control"))).trim().split(" ");
  const usable = wanted.filter((controller) => enabled.includes(controller));
  if (usable.length === 0) return undefined;
  return {
    text: `cgroup v2: ${usable.join(",")}`,
    async make(name) {
      const own = join(folder, name);
      await mkdir(own, { recursive: true });
      return v2Cgroup(own, usable);
    },
    async removeParent() {
      await quietly(rmdir(folder));
    },
  };
}

function v2Cgroup(folder: string, usable: readonly string[]): Cgroup {
  const procs = join(folder, "cgroup.procs");
  const when = (controller: string, file: string): string | undefined =>
    usable.includes(controller) ? join(folder, file) : undefined;
  return {
    joinFiles: [procs],
    async set({ memoryBytes, pids, milliCpu }) {
      await put(when("memory", "memory.max"), String(memoryBytes));
      await put(when("pids", "pids.max"), String(pids));
      await put(when("cpu", "cpu.max"), `${quotaOf(milliCpu)} ${CPU_PERIOD_US}`);
    },
    oomKills: async () =>
      Number(/oom_kill (\d+)/.exec(await readText(join(folder, "memory.events")))?.[1] ?? 0),
    pids: () => pidsIn(procs),
    remove: (wait) => removeFolders([folder], wait),
  };
}

function quotaOf(milliCpu: number): number {
  return Math.max(1_000, Math.round((milliCpu * CPU_PERIOD_US) / 1_000));
}

async function pidsIn(file: string | undefined): Promise<readonly number[]> {
  if (file === undefined) return [];
  return (await readText(file))
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
}

async function put(file: string | undefined, text: string): Promise<void> {
  if (file !== undefined) await writeFile(file, text);
}

/** A killed process takes a moment to go, longer on a busy machine. */
const REMOVE_TRIES_MAX = 300;

async function removeFolders(folders: readonly string[], wait: () => Promise<void>): Promise<void> {
  for (const folder of folders)
    for (
      let tries = 0;
      tries < REMOVE_TRIES_MAX && !(await quietly(rmdir(folder))) && (await exists(folder));
      tries += 1
    )
      await wait();
}

async function quietly(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch {
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return quietly(stat(path));
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}
