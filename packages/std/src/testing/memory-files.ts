import type { AppendFile, Files } from "../files.ts";
import type { Random } from "../random.ts";
import { StatusError } from "../status.ts";

type Stored = { bytes: Uint8Array; syncedBytes: number };

/** A disk in memory that knows what was synced: `cutPower` forgets the rest, as a real one may. */
export class MemoryFiles implements Files {
  readonly #files = new Map<string, Stored>();
  readonly #random: Random | undefined;
  /** Set to make each write fail from now on, with this reason: a full, dead or read-only disk. */
  fault: Error | undefined;
  /** Which files `fault` strikes; all, unless a test says otherwise. Asked once for each write. */
  strikes: (path: string) => boolean = () => true;

  constructor(options: { readonly random?: Random } = {}) {
    this.#random = options.random;
  }

  /** Loses what was not synced: all of it, or by chance a torn part of it. Open files of before must not be used again. */
  cutPower(): void {
    for (const stored of this.#files.values()) {
      const unsynced = stored.bytes.byteLength - stored.syncedBytes;
      const kept = this.#random === undefined ? 0 : this.#random.integer(unsynced + 1);
      stored.bytes = stored.bytes.slice(0, stored.syncedBytes + kept);
      stored.syncedBytes = stored.bytes.byteLength;
    }
  }

  openAppend(path: string): Promise<AppendFile> {
    const stored = this.#files.get(path) ?? { bytes: new Uint8Array(0), syncedBytes: 0 };
    this.#files.set(path, stored);
    return Promise.resolve(this.#appendFile(path, stored));
  }

  read(path: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#files.get(path)?.bytes);
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    await this.#check(path);
    this.#files.set(path, { bytes: bytes.slice(), syncedBytes: bytes.byteLength });
  }

  list(folder: string): Promise<readonly string[]> {
    const prefix = `${folder}/`;
    const names = [...this.#files.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length));
    return Promise.resolve(names.filter((name) => !name.includes("/")).toSorted());
  }

  async remove(path: string): Promise<void> {
    await this.#check(path);
    this.#files.delete(path);
  }

  async rename({ from, to }: { readonly from: string; readonly to: string }): Promise<void> {
    await this.#check(from);
    const stored = this.#files.get(from);
    if (stored === undefined) throw new StatusError("NotFound", `${from} is not there`);
    this.#files.delete(from);
    this.#files.set(to, stored);
  }

  makeFolder(): Promise<void> {
    return Promise.resolve();
  }

  #check(path: string): Promise<void> {
    const { fault } = this;
    return fault === undefined || !this.strikes(path) ? Promise.resolve() : Promise.reject(fault);
  }

  #appendFile(path: string, stored: Stored): AppendFile {
    return {
      path,
      get sizeBytes() {
        return stored.bytes.byteLength;
      },
      append: async (bytes) => {
        await this.#check(path);
        const next = new Uint8Array(stored.bytes.byteLength + bytes.byteLength);
        next.set(stored.bytes);
        next.set(bytes, stored.bytes.byteLength);
        stored.bytes = next;
      },
      sync: async () => {
        const upTo = stored.bytes.byteLength;
        await this.#check(path);
        stored.syncedBytes = Math.max(stored.syncedBytes, upTo);
      },
      readAt: ({ offset, length }) => Promise.resolve(stored.bytes.slice(offset, offset + length)),
      truncate: async (sizeBytes) => {
        await this.#check(path);
        stored.bytes = stored.bytes.slice(0, sizeBytes);
        stored.syncedBytes = Math.min(stored.syncedBytes, sizeBytes);
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
}
