import { readFile, statfs } from "node:fs/promises";
import { arch, cpus, networkInterfaces, release, totalmem } from "node:os";

export type DiskState = {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly inodesTotal: number;
  readonly inodesFree: number;
};

/** What the node says of its machine. */
export interface Machine {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly architecture: string;
  readonly kernel: string;
  readonly osImage: string;
  readonly machineId: string;
  readonly bootId: string;
  /** The node's own addresses, best first; none of a bridge or of the loopback. */
  addresses(): readonly string[];
  disk(folder: string): Promise<DiskState>;
  /** Memory that could be used without swapping. */
  memoryAvailableBytes(): Promise<number>;
}

export type MachineOptions = {
  /** The address to use when the machine has several, or none of its own. */
  readonly nodeIp?: string;
  /** Interfaces that belong to pods. */
  readonly bridge: string;
  /** Memory that this box may use, when it is limited; undefined: all of the machine's. */
  readonly memoryLimitBytes?: number;
};

/** Reads the machine this process runs on. */
export async function readMachine(options: MachineOptions): Promise<Machine> {
  const text = async (path: string): Promise<string> => (await readFile(path, "utf8").catch(() => "")).trim();
  const [osRelease, machineId, bootId] = await Promise.all([
    text("/etc/os-release"),
    text("/etc/machine-id"),
    text("/proc/sys/kernel/random/boot_id"),
  ]);
  return {
    cpus: cpus().length,
    memoryBytes: Math.min(totalmem(), options.memoryLimitBytes ?? Number.POSITIVE_INFINITY),
    architecture: arch() === "x64" ? "amd64" : arch(),
    kernel: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?/m.exec(osRelease)?.[1] ?? "Linux",
    machineId,
    bootId,
    addresses: () => (options.nodeIp === undefined ? ownAddresses(options.bridge) : [options.nodeIp]),
    async disk(folder) {
      const { bsize, blocks, bavail, files, ffree } = await statfs(folder);
      return { totalBytes: bsize * blocks, freeBytes: bsize * bavail, inodesTotal: files, inodesFree: ffree };
    },
    async memoryAvailableBytes() {
      const kib = /^MemAvailable:\s*(\d+)/m.exec(await text("/proc/meminfo"))?.[1];
      return kib === undefined ? Number.POSITIVE_INFINITY : Number(kib) * 1_024;
    },
  };
}

function ownAddresses(bridge: string): readonly string[] {
  const found: string[] = [];
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (name === bridge || name.startsWith("veth") || name.startsWith("cni")) continue;
    for (const one of addresses ?? []) if (one.family === "IPv4" && !one.internal) found.push(one.address);
  }
  // A store whose line is out may have nothing but its loopback; its services still have to be reached by themselves.
  return found.length === 0 ? ["127.0.0.1"] : found;
}
