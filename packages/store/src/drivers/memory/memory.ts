import type { Commit, Durability } from "../../durability.ts";
import { openLogStore, type EngineOptions } from "../../log-store.ts";
import { noRevision, type KeyValue, type Revision, type Store } from "../../store.ts";

/**
 * A disk in memory: what was committed outlives the store that committed it, so that a test or the simulator can open another
 * one over it, as after a power cut.
 */
export class MemoryDisk {
  readonly values: Map<string, KeyValue> = new Map();
  reserved: Revision = noRevision;
  /** Set to make every commit and every read fail: a full, dead or read-only disk. */
  fault: Error | undefined;
  /** Set to make every commit fail after it reached the disk: nobody can know that it did. */
  lateFault: Error | undefined;
  /** Called before a commit is durable; a simulator waits or cuts the power here by rejecting. */
  beforeCommit: (() => Promise<void>) | undefined;
  /** Called after values were read and before they are handed over. */
  beforeRead: (() => Promise<void>) | undefined;
}

/**
 * Opens a store that keeps everything in memory; nothing outlives `disk`. With `cacheBytes` it reads values from the disk, as one
 * over a file does.
 */
export function openMemoryStore({
  disk = new MemoryDisk(),
  ...options
}: EngineOptions & { readonly disk?: MemoryDisk } = {}): Promise<Store> {
  const durability = memoryDurability(disk);
  return openLogStore(options.cacheBytes === undefined ? durability : readsBack(durability, disk), options);
}

function memoryDurability(disk: MemoryDisk): Durability {
  return {
    open: () => Promise.resolve({ rows: [...disk.values.values()], reserved: disk.reserved }),
    async commit({ changes, reserved }: Commit) {
      await disk.beforeCommit?.();
      if (disk.fault !== undefined) throw disk.fault;
      for (const [key, value] of changes)
        if (value === undefined) disk.values.delete(key);
        else disk.values.set(key, value);
      disk.reserved = reserved;
      if (disk.lateFault !== undefined) throw disk.lateFault;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function readsBack(durability: Durability, disk: MemoryDisk): Durability {
  return {
    ...durability,
    open: () =>
      Promise.resolve({
        rows: [...disk.values.values()].map(({ key, modified, created }) => ({ key, modified, created })),
        reserved: disk.reserved,
      }),
    async read(keys) {
      const found = keys.map((key) => disk.values.get(key));
      await disk.beforeRead?.();
      if (disk.fault !== undefined) throw disk.fault;
      return found;
    },
  };
}
