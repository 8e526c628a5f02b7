import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { IMAGE_AGE_MIN_MS, IMAGE_GC_HIGH_PERCENT, IMAGE_GC_LOW_PERCENT } from "../limits.ts";
import type { Machine } from "../node-status/machine.ts";
import type { Runtime, RuntimeImage } from "../runtime/runtime.ts";

export type CollectorOptions = {
  readonly runtime: Runtime;
  readonly machine: Machine;
  readonly clock: Clock;
  readonly log: Log;
  /** Names of images that came with the store: without a line they could not be had again. */
  readonly pinned: () => ReadonlySet<string>;
  readonly signal: AbortSignal;
};

/** Removes images that nothing uses when the disk is nearly full: least recently used first. */
export class ImageCollector {
  readonly #options: CollectorOptions;
  readonly #usedMs = new Map<string, number>();
  readonly #seenMs = new Map<string, number>();

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  used(image: RuntimeImage): void {
    this.#usedMs.set(image.id, this.#options.clock.monotonicMs());
  }

  /** Collects when the disk is over the high mark, down to the low one. `inUse` are the references of containers that exist. */
  async collect(inUse: ReadonlySet<string>): Promise<void> {
    const { runtime, machine, signal } = this.#options;
    const folder = await runtime.imageFolder({ signal });
    if (folder === undefined) return;
    const { totalBytes, freeBytes } = await machine.disk(folder);
    const usedPercent = 100 - (100 * freeBytes) / totalBytes;
    if (usedPercent < IMAGE_GC_HIGH_PERCENT) return;
    const wantBytes = (totalBytes * (100 - IMAGE_GC_LOW_PERCENT)) / 100 - freeBytes;
    await this.free(wantBytes, inUse);
  }

  /** Removes unused images until so many bytes are freed; answers how many were. */
  async free(wantBytes: number, inUse: ReadonlySet<string>): Promise<number> {
    const { runtime, clock, log, signal } = this.#options;
    const pinned = this.#options.pinned();
    const nowMs = clock.monotonicMs();
    let freedBytes = 0;
    for (const image of this.#oldestFirst(await runtime.images({ signal }))) {
      if (freedBytes >= wantBytes) break;
      const names = [image.id, ...image.tags, ...image.digests];
      const kept = image.pinned || names.some((name) => pinned.has(name) || inUse.has(name));
      const young = nowMs - (this.#seenMs.get(image.id) ?? nowMs) < IMAGE_AGE_MIN_MS;
      if (kept || young) continue;
      await runtime.removeImage(image.id, { signal });
      this.#usedMs.delete(image.id);
      this.#seenMs.delete(image.id);
      freedBytes += image.sizeBytes;
      log.info("image removed", { image: image.tags[0] ?? image.id, sizeBytes: image.sizeBytes });
    }
    return freedBytes;
  }

  #oldestFirst(images: readonly RuntimeImage[]): readonly RuntimeImage[] {
    const nowMs = this.#options.clock.monotonicMs();
    const there = new Set(images.map((image) => image.id));
    for (const map of [this.#seenMs, this.#usedMs])
      for (const id of map.keys()) if (!there.has(id)) map.delete(id);
    for (const image of images) if (!this.#seenMs.has(image.id)) this.#seenMs.set(image.id, nowMs);
    const last = (image: RuntimeImage): number => this.#usedMs.get(image.id) ?? 0;
    return images.toSorted((first, second) => last(first) - last(second));
  }
}
