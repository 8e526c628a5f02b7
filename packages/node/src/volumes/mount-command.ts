import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { StatusError } from "@cortado/std/status";
import type { Mounter } from "./volumes.ts";

/** Mounts with the system's `mount` and `umount`. */
export const mountCommand: Mounter = {
  async mountTmpfs(folder, { sizeBytes }) {
    const size = sizeBytes === undefined ? "" : `,size=${sizeBytes}`;
    await run("mount", ["-t", "tmpfs", "-o", `mode=0777${size}`, "tmpfs", folder]);
  },
  async unmount(folder) {
    const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
    // Spaces in a path are written as \040; ours have none.
    if (mounts.split("\n").some((line) => line.split(" ")[4] === folder)) await run("umount", [folder]);
  },
};

function run(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(command, [...args], { encoding: "utf8" }, (error, _stdout, stderr) => {
      if (error === null) resolve();
      else
        reject(
          new StatusError(
            "InternalError",
            `${command} ${args.join(" ")}: ${stderr.trim() || error.message}`,
            { cause: error },
          ),
        );
    });
  });
}
