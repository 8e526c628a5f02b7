import { createHash } from "node:crypto";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { StatusError } from "@cortado/std/status";

export type ProjectedFile = { readonly data: Uint8Array; readonly mode: number };
/** Files by path relative to the volume. */
export type Payload = ReadonlyMap<string, ProjectedFile>;

export type WriteOptions = {
  readonly folder: string;
  readonly payload: Payload;
  readonly group: number | undefined;
};

/**
 * Puts files into a volume so that a reader sees the old set or the new one, never a mix: the files lie in a folder named by their content,
 * `..data` points to it, and each visible name points through `..data` (kubelet, pkg/volume/util/atomic_writer.go). Answers whether
 * anything changed.
 */
export async function writeAtomically({ folder, payload, group }: WriteOptions): Promise<boolean> {
  for (const path of payload.keys()) checkPath(path);
  const content = `..${contentHash(payload, group)}`;
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const current = await readlink(join(folder, "..data")).catch(() => undefined);
  if (current === content) return false;
  await writeContent({ folder: join(folder, content), payload, group });
  await rm(join(folder, "..data_next"), { force: true });
  await symlink(content, join(folder, "..data_next"));
  await rename(join(folder, "..data_next"), join(folder, "..data"));
  await linkNames(folder, payload);
  for (const name of await readdir(folder)) {
    if (name.startsWith("..") && name !== "..data" && name !== content)
      await rm(join(folder, name), { recursive: true, force: true });
  }
  return true;
}

async function writeContent({ folder, payload, group }: WriteOptions): Promise<void> {
  await rm(folder, { recursive: true, force: true }); // a half-written one of before
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
  for (const [path, { data, mode }] of payload) {
    const target = join(folder, path);
    const parent = dirname(target);
    await mkdir(parent, { recursive: true });
    await writeFile(target, data);
    await chmod(target, group === undefined ? mode : mode | 0o440);
    if (group !== undefined) {
      await chown(target, 0, group);
      await chown(parent, 0, group);
    }
  }
}

async function linkNames(folder: string, payload: Payload): Promise<void> {
  const names = new Set([...payload.keys()].map((path) => path.split("/")[0] ?? path));
  for (const name of names) {
    const link = join(folder, name);
    const there = await lstat(link).catch(() => undefined);
    if (there?.isSymbolicLink() === true) continue;
    await rm(link, { recursive: true, force: true });
    await symlink(join("..data", name), link);
  }
  for (const name of await readdir(folder))
    if (!name.startsWith("..") && !names.has(name)) await rm(join(folder, name), { force: true });
}

function checkPath(path: string): void {
  const parts = path.split("/");
  if (path === "" || path.startsWith("/") || parts.includes("..") || (parts[0] ?? "").startsWith(".."))
    throw new StatusError("BadRequest", `a volume cannot hold a file named ${JSON.stringify(path)}`);
}

function contentHash(payload: Payload, group: number | undefined): string {
  const hash = createHash("sha256").update(String(group ?? ""));
  for (const path of [...payload.keys()].toSorted()) {
    const { data, mode } = payload.get(path) as ProjectedFile;
    hash.update(`\0${path}\0${mode}\0${data.byteLength}\0`).update(data);
  }
  return hash.digest("hex").slice(0, 32);
}
