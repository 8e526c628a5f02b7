import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { wanOf } from "./box.ts";
import { attempt, killNow, run } from "./command.ts";
import { WAN_PREFIX } from "./limits.ts";

/** The wide area between stores: a namespace with a bridge, where the payment acquirer lives. Answers the acquirer's process. */
export async function startWan(options: {
  readonly demoId: string;
  readonly acquirer: readonly string[];
  readonly logFile: string;
}): Promise<number> {
  const wan = wanOf(options.demoId);
  await run("ip", "netns", "add", wan);
  await run("ip", "-n", wan, "link", "set", "lo", "up");
  await run("ip", "-n", wan, "link", "add", "wan0", "type", "bridge");
  await run("ip", "-n", wan, "address", "add", `${WAN_PREFIX}.1/24`, "dev", "wan0");
  await run("ip", "-n", wan, "link", "set", "wan0", "up");
  const log = openSync(options.logFile, "a", 0o600);
  const words = [`--net=/run/netns/${wan}`, ...options.acquirer];
  const child = spawn("nsenter", words, { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  child.unref();
  return child.pid as number;
}

/** Removes every namespace of a demo and ends what runs in them. */
export async function removeNamespaces(demoId: string): Promise<void> {
  const names = (await run("ip", "netns", "list").catch(() => ""))
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "")
    .filter((name) => name.startsWith(`cortado-${demoId}-`));
  for (const name of names) {
    const pids = await run("ip", "netns", "pids", name).catch(() => "");
    for (const pid of pids.split("\n").filter(Boolean)) killNow(Number(pid));
  }
  for (const name of names) await attempt("ip", "netns", "delete", name);
}
