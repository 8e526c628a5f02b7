import { hash } from "node:crypto";
import type { Files } from "@cortado/std/files";
import { StatusError } from "@cortado/std/status";

/** Bytes on disk by their SHA-256 (lower-case hex): durable before anything may name them. */
export interface Blobs {
  /** Answers the SHA-256; what is there already is not written again. */
  put(bytes: Uint8Array): Promise<string>;
  /** @throws StatusError "NotFound", or "InternalError" when the disk gave other bytes than were written */
  get(sha256: string): Promise<Uint8Array>;
  /** Whether it is here; asked for, it outlives the next sweep as if it were put anew. */
  keep(sha256: string): boolean;
  /**
   * Removes what `isNeeded` does not claim and nobody put or asked for since the sweep before; answers how many went. So what was put and is
   * not named yet has the time between two sweeps to be.
   */
  sweep(isNeeded: (sha256: string) => boolean): Promise<number>;
}

/** Of bytes, or of a text as UTF-8. */
export function sha256Of(bytes: Uint8Array | string): string {
  return hash("sha256", bytes, "hex");
}

/** One file each, in a folder of its own. */
export async function openBlobs(files: Files, folder: string): Promise<Blobs> {
  await files.makeFolder(folder);
  const known = new Set((await files.list(folder)).filter((name) => /^[0-9a-f]{64}$/.test(name)));
  // Who began before us may have named any of them.
  let fresh = new Set(known);
  return {
    async put(bytes) {
      const name = sha256Of(bytes);
      fresh.add(name);
      if (known.has(name)) return name;
      await files.replace(`${folder}/${name}`, bytes);
      known.add(name);
      return name;
    },
    async get(sha256) {
      const bytes = known.has(sha256) ? await files.read(`${folder}/${sha256}`) : undefined;
      if (bytes === undefined)
        throw new StatusError("NotFound", `content ${sha256} is not at this hub; apply its repository again`);
      if (sha256Of(bytes) === sha256) return bytes;
      throw new StatusError(
        "InternalError",
        `content ${sha256} is damaged on disk; remove it and apply its repository again`,
      );
    },
    keep(sha256) {
      if (!known.has(sha256)) return false;
      fresh.add(sha256);
      return true;
    },
    async sweep(isNeeded) {
      const before = fresh;
      fresh = new Set();
      let gone = 0;
      for (const name of [...known]) {
        if (before.has(name) || fresh.has(name) || isNeeded(name)) continue;
        known.delete(name);
        await files.remove(`${folder}/${name}`);
        gone += 1;
      }
      return gone;
    },
  };
}
