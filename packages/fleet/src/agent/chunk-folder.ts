import type { Files } from "@cortado/std/files";
import { STALE_CHUNKS_MAX } from "./limits.ts";
import type { ChunkStore } from "./ports.ts";

/** Chunks as files of a folder, each named by its hash. What no bundle names any more goes when there is much of it, oldest first. */
export async function openChunkFolder(options: {
  readonly files: Files;
  readonly folder: string;
}): Promise<ChunkStore> {
  const { files, folder } = options;
  await files.makeFolder(folder);
  const isChunk = (name: string): boolean => /^[0-9a-f]{64}$/.test(name);
  const names = new Set((await files.list(folder)).filter(isChunk));
  return {
    read: (hash) => (isChunk(hash) ? files.read(`${folder}/${hash}`) : Promise.resolve(undefined)),
    async put(hash, bytes, { keep }) {
      await files.replace(`${folder}/${hash}`, bytes);
      names.delete(hash);
      names.add(hash);
      const stale = [...names].filter((name) => !keep.has(name));
      for (const name of stale.slice(0, Math.max(0, stale.length - STALE_CHUNKS_MAX))) {
        await files.remove(`${folder}/${name}`);
        names.delete(name);
      }
    },
  };
}
