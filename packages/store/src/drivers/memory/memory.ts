import { openLogStore, type Commit, type Durability } from "../../log-store.ts";
import type { HistoryLimits } from "../../history.ts";
import { noRevision, type KeyValue, type Revision, type Store } from "../../store.ts";

/**
 * A disk in memory: what was committed outlives the store that committed it, so that a test or the simulator can open another
 * one over it, as after a power cut.
 */
export class MemoryDisk {
  readonly values: Map<string, KeyValue> = new Map();
  reserved: Revision = noRevision;
  /** Set to make every commit fail: a full, dead or read-only disk. */
  fault: Error | undefined;
  /** Called before a commit is durable; a simulator waits or cuts the power here by rejecting. */
  beforeCommit: (() => Promise<void>) | undefined;
}

/** Opens a store that keeps everything in memory; nothing outlives `disk`. */
export function openMemoryStore(
  options: { readonly disk?: MemoryDisk; readonly history?: HistoryLimits } = {},
): Promise<Store> {
  return openLogStore(memoryDurability(options.disk ?? new MemoryDisk()), options.history);
}

function memoryDurability(disk: MemoryDisk): Durability {
  return {
    open: () => Promise.resolve({ values: [...disk.values.values()], reserved: disk.reserved }),
    async commit({ changes, reserved }: Commit) {
      await disk.beforeCommit?.();
      if (disk.fault !== undefined) throw disk.fault;
      for (const [key, value] of changes)
        if (value === undefined) disk.values.delete(key);
        else disk.values.set(key, value);
      disk.reserved = reserved;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
