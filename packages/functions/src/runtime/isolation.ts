import { execFile } from "node:child_process";
import { chown, mkdir } from "node:fs/promises";
import { promisify } from "node:util";
import { messageOf } from "@cortado/std/status";
import { FUNCTION_TMP_BYTES } from "../limits.ts";
import { findCgroups, type Cgroup, type Cgroups } from "./cgroups.ts";

const run = promisify(execFile);

/** Who a function is inside: nobody. */
export const FUNCTION_UID = 65_534;

export type Launch = {
  readonly command: readonly string[];
  readonly cgroup: Cgroup | undefined;
  /** What the handler knows its data folder as; undefined without one. */
  readonly dataPath: string | undefined;
};

export type LaunchOptions = {
  readonly name: string;
  /** The interpreter and its arguments. */
  readonly program: readonly string[];
  /** Files and folders that the interpreter needs beside /usr and /lib. */
  readonly needs: readonly string[];
  /** The function's own folder on this machine, and the largest file in it. */
  readonly data?: { readonly path: string; readonly bytesMax: number };
};

/** How children are kept apart on this machine, and what of it is really in force. */
export interface Isolation {
  /** For people, as it stands in a Function's status. */
  readonly text: string;
  launch(options: LaunchOptions): Promise<Launch>;
  /** For a child that was started by `launch`: everything it left is ended, and its cgroup removed. */
  close(): Promise<void>;
}

export type FindIsolationOptions = {
  /** Parent of the functions' cgroups, as "/cortado-042/functions"; absent: no limits by cgroup. */
  readonly cgroupParent?: string;
  /** An empty folder of ours, on which each child mounts its own root. */
  readonly rootFolder: string;
  /** True to use plain child processes even where more could be had: for tests. */
  readonly plain?: boolean;
};

/** Looks what this machine gives. Never fails: it says less instead. */
export async function findIsolation({
  cgroupParent,
  rootFolder,
  plain = false,
}: FindIsolationOptions): Promise<Isolation> {
  const reason = plain ? "asked for" : await whyNoNamespaces(rootFolder);
  if (reason !== undefined) return plainIsolation(reason);
  const cgroups = cgroupParent === undefined ? undefined : await findCgroups(cgroupParent);
  return namespaceIsolation({ cgroups, rootFolder });
}

async function whyNoNamespaces(rootFolder: string): Promise<string | undefined> {
  try {
    await mkdir(rootFolder, { recursive: true });
    await run("setpriv", [
      "--pdeathsig",
      "KILL",
      "unshare",
      "--mount",
      "--pid",
      "--net",
      "--ipc",
      "--uts",
      "--fork",
      "mount",
      "-t",
      "tmpfs",
      "tmpfs",
      rootFolder,
    ]);
    return undefined;
  } catch (error) {
    return messageOf(error).split("\n").at(-2) ?? "unshare failed";
  }
}

function plainIsolation(reason: string): Isolation {
  return {
    text: `process only (${reason}); network: unrestricted; limits: none`,
    async launch({ program, data }) {
      if (data !== undefined) await mkdir(data.path, { recursive: true, mode: 0o700 });
      return { command: program, cgroup: undefined, dataPath: data?.path };
    },
    close: () => Promise.resolve(),
  };
}

type Found = { readonly cgroups: Cgroups | undefined; readonly rootFolder: string };

function namespaceIsolation({ cgroups, rootFolder }: Found): Isolation {
  return {
    text: `namespaces: mount,pid,net,ipc,uts; ${cgroups?.text ?? "cgroup: none, limits not in force"}; no-new-privs; capabilities: none; user: ${FUNCTION_UID}; network: none`,
    async launch({ name, program, needs, data }) {
      const cgroup = await cgroups?.make(name);
      if (data !== undefined) {
        await mkdir(data.path, { recursive: true, mode: 0o700 });
        await chown(data.path, FUNCTION_UID, FUNCTION_UID);
      }
      const settings = [
        (cgroup?.joinFiles ?? []).join(" "),
        rootFolder,
        needs.join(" "),
        data?.path ?? "",
        String(FUNCTION_TMP_BYTES),
        data === undefined ? "unlimited" : String(Math.max(1, Math.floor(data.bytesMax / 512))),
      ];
      const command = ["/bin/sh", "-c", enterScript, "function", ...settings, ...program];
      return { command, cgroup, dataPath: data === undefined ? undefined : "/data" };
    },
    async close() {
      await cgroups?.removeParent();
    },
  };
}

// First into the cgroups, so that nothing is ever outside them; then new namespaces, whose first process builds the root. Both
// stages die with their parent, and with the first process dies all that is in the namespace.
const enterScript = `set -e
for file in $1; do echo $$ > "$file"; done
exec setpriv --pdeathsig KILL unshare --mount --pid --net --ipc --uts --fork --kill-child --propagation private /bin/sh -c '
set -e
root=$2; needs=$3; data=$4; tmp=$5; blocks=$6
shift 6
mount -t tmpfs -o size=1m,mode=755,nosuid tmpfs "$root"
mkdir -p "$root/usr" "$root/etc" "$root/dev" "$root/proc" "$root/tmp" "$root/old"
bind() { mount --bind "$1" "$root$1"; mount -o remount,bind,ro,nosuid,nodev "$root$1"; }
bind /usr
for path in /bin /sbin /lib /lib32 /lib64 /libx32; do
  if [ -L "$path" ]; then ln -s "$(readlink "$path")" "$root$path"; elif [ -d "$path" ]; then mkdir "$root$path"; bind "$path"; fi
done
[ -f /etc/ld.so.cache ] && cp /etc/ld.so.cache "$root/etc/"
mount -t tmpfs -o "size=$tmp,mode=1777,nosuid,nodev" tmpfs "$root/tmp"
for path in $needs; do mkdir -p "$root$(dirname "$path")"; if [ -d "$path" ]; then mkdir -p "$root$path"; else : > "$root$path"; fi; bind "$path"; done
for device in null zero urandom random; do : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
if [ -n "$data" ]; then mkdir "$root/data"; mount --bind "$data" "$root/data"; mount -o remount,bind,nosuid,nodev,noexec "$root/data"; fi
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
mount -o remount,ro /
cd /tmp
ulimit -c 0
ulimit -f "$blocks"
exec setpriv --reuid ${FUNCTION_UID} --regid ${FUNCTION_UID} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all --pdeathsig KILL -- "$@"
' function "$@"`;
