import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { StatusError } from "@cortado/std/status";
import { DATA_ENTRIES_MAX } from "../limits.ts";

/**
 * A function's own folder, which outlives its replicas and versions. Its size is declared: no single file may pass it (the kernel
 * sees to that), and when all together do, calls are refused until something was deleted.
 */
export class DataFolder {
  readonly path: string;
  readonly bytesMax: number;
  #used = 0;

  constructor(path: string, bytesMax: number) {
    this.path = path;
    this.bytesMax = bytesMax;
  }

  get usedBytes(): number {
    return this.#used;
  }

  /** @throws StatusError "InsufficientStorage" when it is over its size */
  mustHaveRoom(name: string): void {
    if (this.#used <= this.bytesMax) return;
    throw new StatusError(
      "InsufficientStorage",
      `function ${name} has ${this.#used} bytes of data and declares ${this.bytesMax}; delete some in ${this.path}, or declare more`,
    );
  }

  async measure(): Promise<void> {
    let used = 0;
    let entries = 0;
    const folders = [this.path];
    for (
      let folder = folders.pop();
      folder !== undefined && entries < DATA_ENTRIES_MAX;
      folder = folders.pop()
    )
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        entries += 1;
        const path = join(folder, entry.name);
        if (entry.isDirectory()) folders.push(path);
        else used += (await lstat(path).catch(() => undefined))?.size ?? 0;
      }
    this.#used = entries >= DATA_ENTRIES_MAX ? Number.POSITIVE_INFINITY : used;
  }
}
