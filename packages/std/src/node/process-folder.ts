import { lstat, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

/** A fresh folder that names the process that made it, so that what a killed one left can be told from what is in use. */
export async function makeProcessFolder(parent: string, prefix: string): Promise<string> {
  return await mkdtemp(join(parent, `${prefix}${process.pid}-${await startOf(process.pid)}-`));
}

/**
 * Removes folders that makeProcessFolder made, of this user and of processes that are gone; answers how many. What cannot be looked at or
 * removed stays.
 */
export async function sweepProcessFolders(parent: string, prefix: string): Promise<number> {
  let removed = 0;
  for (const name of await readdir(parent).catch(() => [] as string[])) {
    if (!name.startsWith(prefix)) continue;
    const [, pid, start] = /^(\d{1,10})-(\d{1,20})-[^-]+$/.exec(name.slice(prefix.length)) ?? [];
    if (pid === undefined || start === undefined || (await isAlive(Number(pid), start))) continue;
    const path = join(parent, name);
    const found = await lstat(path).catch(() => undefined);
    if (found?.isDirectory() !== true || found.uid !== process.getuid?.()) continue;
    await rm(path, { recursive: true, force: true }).then(
      () => (removed += 1),
      () => undefined,
    );
  }
  return removed;
}

/** When a process began, in ticks since the machine did (proc(5), stat, field 22); "0" where that is not told. */
async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The second field is the program's name, which may hold anything.
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "0";
}

/** Another process may have its number: it began at another time. */
async function isAlive(pid: number, start: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Of another user: it is there.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const now = await startOf(pid);
  return now === "0" || start === "0" || now === start;
}
