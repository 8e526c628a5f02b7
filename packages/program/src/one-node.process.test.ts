import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { holdMachine } from "./one-node.ts";

test("a machine is one node: the second is told which is there, and comes when that one has ended or was killed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cortado-one-"));
  const path = join(folder, "run", "node.sock");
  try {
    const first = await holdMachine({ path, who: "server till, in /a" });
    await assert.rejects(
      holdMachine({ path, who: "agent" }),
      /is a node already: server till, in \/a; end that one first/,
    );
    await first[Symbol.asyncDispose]();
    const script = `const { holdMachine } = await import(${JSON.stringify(import.meta.resolve("./one-node.ts"))});
      await holdMachine({ path: ${JSON.stringify(path)}, who: "a killed one" }); console.log("held"); setInterval(() => 0, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    await assert.rejects(holdMachine({ path, who: "agent" }), /a killed one/);
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
    await using third = await holdMachine({ path, who: "agent" });
    void third;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
