import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why no box can be made here; undefined when one can. */
export function boxMissing(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  const missing = ["containerd", "runc", "ctr", "nft", "ip", "unshare"].find(
    (name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
  );
  if (missing !== undefined) return `needs ${missing}`;
  return existsSync("/bin/busybox") ? undefined : "needs /bin/busybox (busybox-static)";
}

// PID 1 reaps the shims; when it ends, everything in the box ends with it.
const boot = `set -e
ip link set lo up
mount --make-rshared /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
umount /sys/fs/cgroup/unified 2>/dev/null || true
( set +e; "$@"; echo $? > "$BOX_FOLDER/rc" ) &
set +e
while [ ! -s "$BOX_FOLDER/rc" ]; do wait -n 2>/dev/null || sleep 0.05; done
`;

export type BoxRun = { readonly code: number; readonly output: string };

/**
 * Runs a program in fresh network, mount and pid namespaces with a folder of its own, which it finds in BOX_FOLDER; its cgroup prefix is in
 * BOX_ID. Leaves nothing behind.
 */
export async function runInBox(command: readonly string[]): Promise<BoxRun> {
  const folder = mkdtempSync(join(tmpdir(), "box-"));
  const id = folder.slice(folder.lastIndexOf("-") + 1);
  try {
    writeFileSync(join(folder, "boot.sh"), boot);
    const args = [
      "-n",
      "-m",
      "-p",
      "-f",
      "--kill-child",
      "--propagation",
      "private",
      "bash",
      join(folder, "boot.sh"),
      ...command,
    ];
    const environment = {
      ...process.env,
      BOX_FOLDER: folder,
      BOX_ID: `box-${id}`,
      NODE_TEST_CONTEXT: undefined,
    };
    const child = spawn("unshare", args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => (output += bytes.toString("utf8")));
    await new Promise<void>((resolve) => child.once("close", () => resolve()));
    const rc = join(folder, "rc");
    return { code: existsSync(rc) ? Number(readFileSync(rc, "utf8")) : -1, output };
  } finally {
    removeCgroups(`box-${id}`);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function removeCgroups(id: string): void {
  spawnSync("sh", [
    "-c",
    `for d in /sys/fs/cgroup/*/${id}; do [ -d "$d" ] && find "$d" -depth -type d -exec rmdir {} \\; ; done`,
  ]);
}
