import { createHash } from "node:crypto";
import type { Files } from "@cortado/std/files";
import { StatusError } from "@cortado/std/status";

/** Bytes on disk by their SHA-256 (lower-case hex): durable before anything may name them. */
export interface Blobs {
  /** Answers the SHA-256; what is there already is not written again. */
  put(bytes: Uint8Array): Promise<string>;
  /** @throws StatusError "NotFound", or "InternalError" when the disk gave other bytes than were written */
  get(sha256: string): Promise<Uint8Array>;
  /** Removes what `isNeeded` does not claim; answers how many went. */
  sweep(isNeeded: (sha256: string) => boolean): Promise<number>;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** One file each, in a folder of its own. */
export async function openBlobs(files: Files, folder: string): Promise<Blobs> {
  await files.makeFolder(folder);
  const known = new Set((await files.list(folder)).filter((name) => /^[0-9a-f]{64}$/.test(name)));
  return {
    async put(bytes) {
      const name = sha256Of(bytes);
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
    async sweep(isNeeded) {
      const unneeded = [...known].filter((name) => !isNeeded(name));
      for (const name of unneeded) {
        known.delete(name);
        await files.remove(`${folder}/${name}`);
      }
      return unneeded.length;
    },
  };
}
