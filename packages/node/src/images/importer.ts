import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@cortado/std/clock";
import type { Files } from "@cortado/std/files";
import type { Log } from "@cortado/std/log";
import { messageOf, StatusError } from "@cortado/std/status";
import type { Runtime } from "../runtime/runtime.ts";

export type ImporterOptions = {
  /** Folder of `*.tar` archives (OCI layout or docker save). */
  readonly folder: string;
  /** Where it is kept which archives were imported. */
  readonly doneFile: string;
  readonly runtime: Runtime;
  readonly importTar: (path: string) => Promise<readonly string[]>;
  /** Puts on disk what the runtime unpacked: it does not itself, and a power cut would leave files without their content. */
  readonly settle: () => Promise<void>;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** What the done-list says of one archive: its size and time let an unchanged file pass without being read. */
type Done = {
  readonly size: number;
  readonly modifiedMs: number;
  readonly digest: string;
  readonly images: readonly string[];
};
type DoneList = { readonly version: 1; readonly archives: Readonly<Record<string, Done>> };

/**
 * Imports archives that are new since the last time, and those whose images are gone; answers the names of all their images, which garbage
 * collection leaves alone. An archive that is broken is told and passed over.
 */
export async function importImages(options: ImporterOptions): Promise<ReadonlySet<string>> {
  const { folder, log, signal, clock } = options;
  const names = (await readdir(folder).catch(() => [] as string[]))
    .filter((name) => /\.tar(\.gz|\.zst)?$/.test(name))
    .toSorted();
  const known = await readDone(options);
  const present = new Set((await options.runtime.images({ signal })).flatMap((image) => image.tags));
  const archives: Record<string, Done> = {};
  for (const name of names) {
    if (signal.aborted) break;
    try {
      const startMs = clock.monotonicMs();
      const before = known.archives[name];
      const done = await importOne({
        path: join(folder, name),
        before,
        present,
        importTar: options.importTar,
      });
      archives[name] = done.record;
      if (!done.imported) continue;
      await options.settle();
      await writeDone(options, { version: 1, archives: { ...known.archives, ...archives } });
      log.info("images imported", {
        archive: name,
        images: done.record.images,
        tookMs: Math.round(clock.monotonicMs() - startMs),
      });
    } catch (error) {
      log.error("image archive not imported", { archive: name, error });
    }
  }
  return new Set(Object.values(archives).flatMap((done) => done.images));
}

type ImportOne = {
  readonly path: string;
  readonly before: Done | undefined;
  readonly present: ReadonlySet<string>;
  readonly importTar: ImporterOptions["importTar"];
};

async function importOne({
  path,
  before,
  present,
  importTar,
}: ImportOne): Promise<{ readonly imported: boolean; readonly record: Done }> {
  const { size, mtimeMs: modifiedMs } = await stat(path);
  const allThere =
    before !== undefined && before.images.length > 0 && before.images.every((image) => present.has(image));
  if (allThere && before.size === size && before.modifiedMs === modifiedMs)
    return { imported: false, record: before };
  const digest = await digestOf(path);
  if (allThere && before.digest === digest)
    return { imported: true, record: { ...before, size, modifiedMs } };
  const images = await importTar(path);
  return { imported: true, record: { size, modifiedMs, digest, images } };
}

function digestOf(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const hash = createHash("sha256");
    createReadStream(path)
      .on("data", (bytes) => hash.update(bytes))
      .on("error", reject)
      .on("end", () => resolve(`sha256:${hash.digest("hex")}`));
  });
}

async function readDone({ files, doneFile, log }: ImporterOptions): Promise<DoneList> {
  const bytes = await files.read(doneFile);
  if (bytes === undefined) return { version: 1, archives: {} };
  try {
    const list = JSON.parse(new TextDecoder().decode(bytes)) as DoneList;
    if (list.version === 1) return list;
  } catch (error) {
    log.warn("list of imported images is broken; all are looked at again", { error: messageOf(error) });
  }
  return { version: 1, archives: {} };
}

async function writeDone({ files, doneFile }: ImporterOptions, list: DoneList): Promise<void> {
  await files.replace(doneFile, new TextEncoder().encode(JSON.stringify(list)));
}

/** Writes out the file system that a folder is on (sync(1)); without the program nothing is done, as before a power cut nobody can tell. */
export function settleFolder(folder: string): () => Promise<void> {
  return () => new Promise((resolve) => void execFile("sync", ["-f", folder], () => resolve()));
}

/** Imports by containerd's own `ctr`, which comes with it; CRI has no call for it. Answers the names of the images. */
export function ctrImport(socketPath: string): (path: string) => Promise<readonly string[]> {
  return (path) =>
    new Promise((resolve, reject) => {
      const args = [
        "--address",
        socketPath,
        "--namespace",
        "k8s.io",
        "images",
        "import",
        "--digests=false",
        path,
      ];
      execFile("ctr", args, { encoding: "utf8", maxBuffer: 1024 * 1024 }, (error, stdout, stderr) => {
        if (error !== null) {
          reject(
            new StatusError("BadRequest", `${path}: ${stderr.trim() || error.message}`, { cause: error }),
          );
          return;
        }
        // 1.x: "unpacking NAME (DIGEST)...done"; 2.x: "NAME  saved"
        resolve(
          [...stdout.matchAll(/^(?:unpacking (\S+) \(|(\S+)\s+saved)/gm)].map(
            (match) => match[1] ?? match[2] ?? "",
          ),
        );
      });
    });
}
