import { mkdir, open, readdir, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import type { AppendFile, Files } from "../files.ts";

/** The machine's own disk. */
export const systemFiles: Files = {
  async openAppend(path) {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(path, "a+", 0o600);
    await syncFolder(dirname(path));
    const { size } = await handle.stat();
    return appendFile(path, handle, size);
  },
  async read(path) {
    return absentIsUndefined(() => readFile(path));
  },
  async replace(path, bytes) {
    const next = `${path}.next`;
    await using handle = await open(next, "w", 0o600);
    await handle.writeFile(bytes);
    await handle.sync();
    await rename(next, path);
    await syncFolder(dirname(path));
  },
  async list(folder) {
    return ((await absentIsUndefined(() => readdir(folder))) ?? []).toSorted();
  },
  async remove(path) {
    await rm(path, { force: true });
    await absentIsUndefined(() => syncFolder(dirname(path)));
  },
  async rename({ from, to }) {
    await rename(from, to);
    await syncFolder(dirname(to));
  },
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
};

function appendFile(path: string, handle: FileHandle, openedBytes: number): AppendFile {
  let sizeBytes = openedBytes;
  return {
    path,
    get sizeBytes() {
      return sizeBytes;
    },
    async append(bytes) {
      sizeBytes += bytes.byteLength;
      for (let done = 0; done < bytes.byteLength;) done += (await handle.write(bytes, done)).bytesWritten;
    },
    sync: () => handle.datasync(),
    async readAt({ offset, length }) {
      const { bytesRead, buffer } = await handle.read(new Uint8Array(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    },
    async truncate(size) {
      await handle.truncate(size);
      await handle.datasync();
      sizeBytes = size;
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

// A new name is durable only when its folder is (fsync(2), "Calling fsync() does not necessarily ensure …").
async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}

async function absentIsUndefined<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
