import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { StatusError } from "@cortado/std/status";

/** Runs a program to its end. @throws StatusError "InternalError" with what it said */
export function run(program: string, ...words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, words, { maxBuffer: 16 * 1024 * 1024 }, (cause, stdout, stderr) => {
      if (cause === null) resolve(stdout);
      else
        reject(
          new StatusError(
            "InternalError",
            `${program} ${words.join(" ")}: ${stderr.trim() || cause.message}`,
            { cause },
          ),
        );
    });
  });
}

/** Runs a program whose failure does not matter: removing what may be gone already. */
export async function attempt(program: string, ...words: readonly string[]): Promise<void> {
  await run(program, ...words).catch(() => undefined);
}

/** When a process started, in clock ticks since boot; undefined when there is none (proc(5), field 22 of stat). */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** The first child of a process; undefined while there is none. */
export async function childOf(pid: number): Promise<number | undefined> {
  try {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
    const first = Number.parseInt(children, 10);
    return Number.isNaN(first) ? undefined : first;
  } catch {
    return undefined;
  }
}

export function killNow(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it is gone, which is what was wanted
  }
}

/** Waits until a look succeeds. @throws StatusError "Timeout" naming what was waited for */
export async function waitFor<Found>(
  what: string,
  look: () => Promise<Found | undefined>,
  options: { readonly withinMs: number; readonly everyMs: number },
): Promise<Found> {
  const endMs = performance.now() + options.withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > endMs)
      throw new StatusError("Timeout", `${what} took longer than ${options.withinMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, options.everyMs));
  }
}
