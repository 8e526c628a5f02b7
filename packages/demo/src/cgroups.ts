import { existsSync } from "node:fs";
import { mkdir, readdir, rmdir } from "node:fs/promises";
import { join } from "node:path";

const root = "/sys/fs/cgroup";
/** Controllers that a box is counted and limited by; the others follow by what the runtime makes. */
const controllers = ["memory", "cpu", "pids"];

function roots(): readonly string[] {
  if (existsSync(join(root, "cgroup.controllers"))) return [root]; // version 2
  return controllers.map((name) => join(root, name)).filter((path) => existsSync(path));
}

/** Makes a cgroup in every hierarchy and answers the files that a process writes itself into. */
export async function makeCgroup(path: string): Promise<readonly string[]> {
  const folders = roots().map((one) => join(one, path));
  for (const folder of folders) await mkdir(folder, { recursive: true });
  return folders.map((folder) => join(folder, "cgroup.procs"));
}

/** Removes a cgroup and all below it, in every hierarchy that has it; what still holds a process stays. */
export async function removeCgroup(path: string): Promise<void> {
  const hierarchies = existsSync(join(root, "cgroup.controllers")) ? [""] : await readdir(root);
  for (const hierarchy of hierarchies) await removeTree(join(root, hierarchy, path));
}

async function removeTree(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(folder, entry.name));
  await rmdir(folder).catch(() => undefined);
}
