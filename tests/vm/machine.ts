// A virtual machine with cgroup version 2 and nothing else: Debian's kernel, and a root disk copied from this machine's own files.
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { newLayer, writeOciTar } from "@cortado/wire/oci";

const top = join(import.meta.dirname, "..", "..");
const cache = join(top, ".cache", "vm");
const bundle = join(top, "dist");

/** What the guest may take, from the start of the emulator to its end. */
export const RUN_MS_MAX = 480_000;
const DISK_SIZE = "2500M";
/** Without AVX, whose instructions are emulated so slowly that the programs' plain code is much faster. */
const processor = "max,avx=off,avx2=off,fma=off,f16c=off";
/** Emulated by one thread: with more, the guest's kernel locks up now and then. */
const machineWords = [
  "-accel",
  "tcg,thread=single",
  "-cpu",
  processor,
  "-smp",
  "1",
  "-m",
  "3072",
  "-nographic",
  "-no-reboot",
  "-nic",
  "none",
];
/** Mitigations cost an emulated processor much and protect nothing here. */
const kernelWords = [
  "console=ttyS0",
  "loglevel=1",
  "panic=-1",
  "mitigations=off",
  "random.trust_cpu=on",
  "tsc=reliable",
];

const programs = [
  "containerd",
  "containerd-shim-runc-v2",
  "ctr",
  "runc",
  "nft",
  "iptables",
  "ip6tables",
  "ip",
  "sh",
  "nsenter",
  "unshare",
  "setpriv",
  "mount",
  "umount",
  "python3",
];
const moduleFolders = [
  "arch/x86/crypto",
  "crypto",
  "drivers/block",
  "drivers/net",
  "drivers/virtio",
  "fs/overlayfs",
  "lib",
  "net",
];
/** In the order of their needs. */
const diskModules = [
  "virtio_ring",
  "virtio",
  "virtio_pci_modern_dev",
  "virtio_pci_legacy_dev",
  "virtio_pci",
  "virtio_blk",
];

/** Why no such machine can be made here; undefined when one can. */
export function machineMissing(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return "needs Linux on x86-64";
  if (process.getuid?.() !== 0) return "needs root";
  for (const program of ["qemu-system-x86_64", "mke2fs", "dpkg-deb", ...programs])
    if (pathOf(program) === undefined) return `needs ${program}`;
  if (!existsSync("/bin/busybox")) return "needs /bin/busybox (busybox-static)";
  if (!existsSync("/usr/lib/cni/bridge")) return "needs containernetworking-plugins";
  return existsSync(join(bundle, "images", "coffee-shop.tar"))
    ? undefined
    : "needs the bundle: npm run bundle";
}

export type Kernel = {
  readonly image: string;
  readonly initramfs: string;
  readonly modules: string;
  readonly release: string;
};

/** Debian's kernel for clouds, downloaded once into .cache/vm. @throws Error when no package can be had */
export function prepareKernel(): Kernel {
  mkdirSync(cache, { recursive: true });
  const tree = join(cache, "kernel");
  if (!existsSync(join(tree, "ready"))) {
    rmSync(tree, { recursive: true, force: true });
    run("dpkg-deb", ["-x", kernelPackage(), tree]);
    const [release = ""] = readdirSync(join(tree, "lib", "modules"));
    run("/bin/busybox", ["depmod", "-b", tree, release]);
    makeInitramfs(join(tree, "lib", "modules", release), join(tree, "initramfs.cpio"));
    writeFileSync(join(tree, "ready"), release);
  }
  const [release = ""] = readdirSync(join(tree, "lib", "modules"));
  const modules = join(tree, "lib", "modules", release);
  return {
    image: join(tree, "boot", `vmlinuz-${release}`),
    initramfs: join(tree, "initramfs.cpio"),
    modules,
    release,
  };
}

function kernelPackage(): string {
  const found = (): string | undefined =>
    readdirSync(cache).find((name) => /^linux-image-.*\.deb$/.test(name));
  if (found() === undefined) {
    const names =
      run("apt-cache", ["search", "--names-only", "^linux-image-6\\.1\\.0-[0-9]+-cloud-amd64$"]).match(
        /^\S+/gm,
      ) ?? [];
    const newest = names.toSorted((one, other) => one.localeCompare(other, "en", { numeric: true })).at(-1);
    if (newest === undefined)
      throw new Error("apt knows no linux-image-6.1.0-*-cloud-amd64; run apt-get update");
    run("apt-get", ["download", newest], { cwd: cache });
  }
  return join(cache, found() as string);
}

/** Only what finds the disk: the file system is in the kernel, everything else is loaded from the disk when it is asked for. */
function makeInitramfs(modules: string, to: string): void {
  const tree = mkdtempSync(join(cache, "initramfs-"));
  for (const folder of ["bin", "dev", "proc", "mnt"]) mkdirSync(join(tree, folder));
  copyFileSync("/bin/busybox", join(tree, "bin", "busybox"));
  const files = run("find", [modules, "-name", "*.ko"]).trim().split("\n");
  const wanted = diskModules
    .map((name) => files.find((file) => basename(file) === `${name}.ko`))
    .filter((file) => file !== undefined);
  for (const file of wanted) copyFileSync(file, join(tree, basename(file)));
  const script = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
for one in ${wanted.map((file) => basename(file)).join(" ")}; do /bin/busybox insmod /$one; done
/bin/busybox mount -t ext4 -o noatime /dev/vda /mnt
/bin/busybox mount -o move /dev /mnt/dev
exec /bin/busybox switch_root /mnt /init
`;
  writeFileSync(join(tree, "init"), script, { mode: 0o755 });
  run("sh", ["-c", `find . | /bin/busybox cpio -o -H newc > "$1"`, "cpio", to], { cwd: tree });
  rmSync(tree, { recursive: true });
}

/** The disk that the guest runs from: this machine's programs with their libraries, our Node, the bundle and the checks. */
function makeDisk(kernel: Kernel, folder: string): string {
  const tree = join(folder, "root");
  for (const name of [
    "dev",
    "etc",
    "opt/guest",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/sbin",
    "usr/local/bin",
    "var/lib",
    "var/log",
  ])
    mkdirSync(join(tree, name), { recursive: true });
  for (const name of ["bin", "lib", "lib64", "sbin"]) symlinkSync(`usr/${name}`, join(tree, name));
  chmodSync(join(tree, "tmp"), 0o1777);
  for (const name of programs) copyProgram(pathOf(name) as string, tree);
  copyProgram("/bin/busybox", tree);
  const applets = run("/bin/busybox", ["--list"]).trim().split("\n");
  for (const name of applets)
    if (!["bin", "sbin"].some((one) => existsSync(join(tree, "usr", one, name))))
      symlinkSync("/usr/bin/busybox", join(tree, "usr/bin", name));
  symlinkSync("/usr/bin/busybox", join(tree, "usr/sbin/modprobe")); // the kernel asks for it by this path
  for (const name of ["bridge", "host-local", "loopback", "portmap"])
    copyProgram(`/usr/lib/cni/${name}`, tree);
  const xtables = "/usr/lib/x86_64-linux-gnu/xtables";
  if (existsSync(xtables)) cpSync(xtables, join(tree, xtables), { recursive: true });
  copyPython(tree);
  for (const path of linkedLibraries(process.execPath)) copyInto(path, tree);
  copyFileSync(process.execPath, join(tree, "usr/local/bin/node"));
  for (const name of ["cortado.cjs", "thread.cjs", "acquirer.cjs"])
    cpSync(join(bundle, name), join(tree, "opt/cortado", name));
  // What every pod needs is there from the start; the rest is brought in by the checks, one after the other.
  const images = join(tree, "var/lib/cortado/agent/images");
  mkdirSync(images, { recursive: true });
  copyFileSync(join(bundle, "images", "00-pause.tar"), join(images, "00-pause.tar"));
  writeFileSync(join(images, "01-checks.tar"), checkImage());
  copyFileSync(join(bundle, "images", "coffee-shop.tar"), join(tree, "opt/cortado/coffee-shop.tar"));
  cpSync(join(bundle, "manifests"), join(tree, "opt/cortado/manifests"), { recursive: true });
  // It has no hub: what the hub's repository would bring is laid beside.
  const repository = join(bundle, "repository");
  cpSync(join(repository, "manifests"), join(tree, "opt/cortado/manifests"), { recursive: true });
  copyFileSync(
    join(repository, "functions", "functions.yaml"),
    join(tree, "opt/cortado/manifests/functions.yaml"),
  );
  for (const name of moduleFolders)
    cpSync(
      join(kernel.modules, "kernel", name),
      join(tree, "usr/lib/modules", kernel.release, "kernel", name),
      { recursive: true },
    );
  run("/bin/busybox", ["depmod", "-b", tree, kernel.release]);
  cpSync(join(import.meta.dirname, "guest"), join(tree, "opt/guest"), { recursive: true });
  copyFileSync(join(import.meta.dirname, "guest", "init.sh"), join(tree, "init"));
  chmodSync(join(tree, "init"), 0o755);
  writeFileSync(join(tree, "etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 store-vm\n");
  for (const [name, text] of [
    ["resolv.conf", ""],
    ["passwd", "root:x:0:0:root:/root:/bin/sh\n"],
    ["group", "root:x:0:\n"],
    ["nsswitch.conf", "hosts: files dns\n"],
  ] as const)
    writeFileSync(join(tree, "etc", name), text);
  const disk = join(folder, "disk.img");
  run("mke2fs", ["-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk, DISK_SIZE]);
  rmSync(tree, { recursive: true });
  return disk;
}

/** Small, and the first to be imported after the pause: the checks of limits need not wait for the shop. */
function checkImage(): Uint8Array {
  const busybox = newLayer(
    [
      { name: "bin/", type: "folder", mode: 0o755 },
      { name: "bin/busybox", data: readFileSync("/bin/busybox"), mode: 0o755 },
      { name: "bin/sh", type: "hardlink", link: "bin/busybox", mode: 0o755 },
    ],
    { compression: "zstd" },
  );
  return Buffer.concat(
    writeOciTar([
      {
        name: "cortado.local/checks:1",
        layers: [busybox],
        config: { Env: ["PATH=/bin"] },
        architecture: "x64",
      },
    ]).parts,
  );
}

function copyPython(tree: string): void {
  const library = `/usr/lib/${basename(realpathSync("/usr/bin/python3"))}`;
  const unneeded = /\/(test|idlelib|lib2to3|tkinter|ensurepip|dist-packages|config-[^/]*|__pycache__)(\/|$)/;
  cpSync(library, join(tree, library), {
    recursive: true,
    filter: (path) => !unneeded.test(path),
    verbatimSymlinks: true,
  });
}

function copyProgram(path: string, tree: string): void {
  copyInto(path, tree);
  for (const library of linkedLibraries(path)) copyInto(library, tree);
}

/** To the same place below `tree`, where /bin and /lib are links into /usr as on Debian. */
function copyInto(path: string, tree: string): void {
  const folder = join(tree, realpathSync(dirname(path)));
  mkdirSync(folder, { recursive: true });
  const target = join(folder, basename(path));
  if (!existsSync(target)) copyFileSync(realpathSync(path), target);
}

function linkedLibraries(program: string): readonly string[] {
  try {
    return run("ldd", [program]).match(/\/\S+(?= \(0x)/g) ?? [];
  } catch {
    return []; // linked to nothing
  }
}

/** Never from a version manager's folder: the guest has Debian's own. */
function pathOf(program: string): string | undefined {
  return ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));
}

function run(program: string, words: readonly string[], options: { readonly cwd?: string } = {}): string {
  return execFileSync(program, words, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 << 20,
    ...options,
  });
}

export type GuestOptions = { readonly withHeavy: boolean; readonly onLine: (line: string) => void };
export type GuestRun = { readonly console: string; readonly isOver: boolean; readonly ms: number };

/** Boots the machine and waits until it turns itself off, or until its time is over. Leaves nothing but the kernel in .cache/vm. */
export async function runGuest(kernel: Kernel, { withHeavy, onLine }: GuestOptions): Promise<GuestRun> {
  const folder = mkdtempSync(join(cache, "run-"));
  try {
    const disk = makeDisk(kernel, folder);
    const boot = [
      "-kernel",
      kernel.image,
      "-initrd",
      kernel.initramfs,
      "-append",
      [...kernelWords, ...(withHeavy ? ["cortado.heavy=1"] : [])].join(" "),
    ];
    const startMs = performance.now();
    const child = spawn(
      "qemu-system-x86_64",
      [...machineWords, ...boot, "-drive", `file=${disk},if=virtio,format=raw,cache=unsafe`],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    let isOver = false;
    const limit = setTimeout(() => {
      isOver = true;
      kill();
    }, RUN_MS_MAX);
    let said = "";
    let rest = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (part: string) => {
        said += part;
        const lines = (rest + part).split(/\r?\n/);
        rest = lines.pop() ?? "";
        lines.forEach(onLine);
      });
    await new Promise((resolve) => child.once("close", resolve));
    clearTimeout(limit);
    process.off("exit", kill);
    return { console: said.replaceAll("\r", ""), isOver, ms: performance.now() - startMs };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
