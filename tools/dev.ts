// The demo on a temporary folder, built and started again when a source changes; Ctrl-C leaves nothing behind.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "cdev-"));
let running: ChildProcess | undefined;
let restarting = false;
let ending = false;

function start(): void {
  const built = spawnSync(process.execPath, ["tools/build.ts"], { stdio: "inherit" });
  if (built.status !== 0) return;
  const words = ["dist/cortado.cjs", "demo", "start", "--folder", folder, ...process.argv.slice(2)];
  running = spawn(process.execPath, words, { stdio: "inherit" });
  running.once("exit", () => {
    running = undefined;
    if (ending) finish();
    else if (restarting) {
      restarting = false;
      start();
    }
  });
}

function finish(): void {
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
}

let settling: NodeJS.Timeout | undefined;
for (const root of ["packages", "examples"])
  watch(root, { recursive: true }, (_event, name) => {
    if (name === null || !/\.(ts|py|yaml)$/.test(name) || name.includes("generated")) return;
    clearTimeout(settling);
    settling = setTimeout(() => {
      restarting = running !== undefined;
      if (running === undefined) start();
      else running.kill("SIGINT");
    }, 500);
  });
process.on("SIGINT", () => {
  ending = true;
  if (running === undefined) finish();
});
start();
