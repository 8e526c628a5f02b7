import type { Clock } from "@cortado/std/clock";
import type { AppendFile, Files } from "@cortado/std/files";
import type { Random } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { DISK_MS_MAX } from "../limits.ts";

type Kept = { bytes: Uint8Array; size: number; synced: number };

/** Of one life: true until the process dies. */
export type Life = { readonly alive: boolean };

/**
 * A disk of files that outlives processes and loses at a power cut what was not synced: all of it, a torn part, or a part whose
 * rest is zeros. Syncs take time, so that a process can die between a write and its sync.
 */
export class FaultyFiles {
  readonly #files = new Map<string, Kept>();
  readonly #clock: Clock;
  readonly #random: Random;
  /** Set to a deliberate lie for the checkers' own tests: a sync that does nothing. */
  lies = false;
  /** Set while the disk is full. */
  full = false;
  /** Called once when the disk begins to make something durable. */
  busy: (() => void) | undefined;

  constructor(ports: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = ports.clock;
    this.#random = ports.random;
  }

  /** A sync begins, or a commit of the store, which has its own place on this disk. */
  begin(): void {
    const { busy } = this;
    this.busy = undefined;
    busy?.();
  }

  cutPower(): void {
    for (const kept of this.#files.values()) {
      const unsynced = kept.size - kept.synced;
      const sound = kept.synced + this.#random.integer(unsynced + 1);
      const size = this.#random.integer(4) === 0 ? kept.size : sound;
      kept.bytes.fill(0, sound);
      kept.size = size;
      kept.synced = size;
    }
  }

  /** The disk as one process sees it: once dead, nothing it does has any effect, and nothing answers it. */
  of(life: Life): Files {
    const files = this.#files;
    const act = <Result>(work: () => Result): Promise<Result> =>
      life.alive ? this.#slowly(life, work) : never();
    const write = (work: () => void): Promise<void> =>
      life.alive
        ? this.full
          ? Promise.reject(new Error("ENOSPC: no space left on device"))
          : this.#slowly(life, work)
        : never();
    return {
      openAppend: (path) => act(() => this.#append(path, life)),
      read: (path) =>
        act(() => {
          const kept = files.get(path);
          return kept?.bytes.slice(0, kept.size);
        }),
      replace: (path, bytes) =>
        write(
          () =>
            void files.set(path, { bytes: bytes.slice(), size: bytes.byteLength, synced: bytes.byteLength }),
        ),
      list: (folder) =>
        act(() => {
          const names = [...files.keys()]
            .filter((path) => path.startsWith(`${folder}/`))
            .map((path) => path.slice(folder.length + 1));
          return names.filter((name) => !name.includes("/")).toSorted();
        }),
      remove: (path) => write(() => void files.delete(path)),
      rename: ({ from, to }) =>
        write(() => {
          const kept = files.get(from);
          if (kept === undefined) throw new StatusError("NotFound", `${from} is not there`);
          files.delete(from);
          files.set(to, kept);
        }),
      makeFolder: () => act(() => undefined),
    };
  }

  #append(path: string, life: Life): AppendFile {
    const kept = this.#files.get(path) ?? { bytes: new Uint8Array(1_024), size: 0, synced: 0 };
    this.#files.set(path, kept);
    const guard = <Result>(work: () => Result): Promise<Result> => (life.alive ? attempt(work) : never());
    const clock = this.#clock;
    return {
      path,
      get sizeBytes() {
        return kept.size;
      },
      append: (bytes) =>
        guard(() => {
          if (this.full) throw new Error("ENOSPC: no space left on device");
          grow(kept, kept.size + bytes.byteLength);
          kept.bytes.set(bytes, kept.size);
          kept.size += bytes.byteLength;
        }),
      sync: () => {
        if (!life.alive) return never();
        const upTo = kept.size;
        this.begin();
        return new Promise((resolve) => {
          clock.after(this.#random.integer(DISK_MS_MAX), () => {
            if (!life.alive) return;
            if (!this.lies) kept.synced = Math.min(Math.max(kept.synced, upTo), kept.size);
            resolve();
          });
        });
      },
      readAt: ({ offset, length }) =>
        guard(() => kept.bytes.slice(offset, Math.min(offset + length, kept.size))),
      truncate: (sizeBytes) =>
        guard(() => {
          kept.size = Math.min(kept.size, sizeBytes);
          kept.synced = Math.min(kept.synced, kept.size);
        }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  // Done at the end of the wait and at once: whole or not at all, and only by a living process.
  #slowly<Result>(life: Life, work: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#clock.after(this.#random.integer(3), () => {
        if (life.alive) attempt(work).then(resolve, reject);
      });
    });
  }
}

function grow(kept: Kept, size: number): void {
  if (kept.bytes.byteLength >= size) return;
  const bytes = new Uint8Array(size * 2);
  bytes.set(kept.bytes.subarray(0, kept.size));
  kept.bytes = bytes;
}

function attempt<Result>(work: () => Result): Promise<Result> {
  return new Promise((resolve) => resolve(work()));
}

/** What a dead process waits for. */
export function never<Result>(): Promise<Result> {
  return new Promise(() => undefined);
}
