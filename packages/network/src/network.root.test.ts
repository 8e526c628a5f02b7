import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const missing =
  process.getuid?.() !== 0
    ? "needs root"
    : ["nft", "ip", "unshare", "busybox"].find(
        (name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
      );
const skip = missing === undefined ? false : missing === "needs root" ? missing : `needs ${missing}`;

const boot = 'ip link set lo up; mount -t tmpfs tmpfs /run; mkdir -p /run/netns; exec "$@"';

test(
  "rules, policies, DNS and ingress carry real traffic (a whole suite in namespaces of its own)",
  { skip, timeout: 120_000 },
  async (context) => {
    const inner = join(import.meta.dirname, "testing", "inside-namespace.ts");
    const command = [process.execPath, "--test", "--test-isolation=none", "--test-reporter=tap", inner];
    const child = spawn(
      "unshare",
      ["-n", "-m", "--propagation", "private", "sh", "-c", boot, "sh", ...command],
      {
        env: { ...process.env, NODE_TEST_CONTEXT: undefined },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => (output += bytes.toString("utf8")));
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    for (const line of output.split("\n")) if (/^\s*(not )?ok /.test(line)) context.diagnostic(line.trim());
    assert.equal(code, 0, output);
  },
);
