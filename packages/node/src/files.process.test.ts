import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { silentLog } from "@cortado/std/testing/silent-log";
import { importImages } from "./images/importer.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { readLogFile, type LogOptions } from "./streams/logs.ts";
import { writeAtomically } from "./volumes/atomic-writer.ts";
import { containerMounts } from "./volumes/volumes.ts";

function temporary(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "node-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

const file = (text: string, mode = 0o644) => ({ data: Buffer.from(text), mode });

test("a volume changes as a whole, and not at all when nothing changed", async () => {
  using folder = temporary();
  const volume = join(folder.path, "v");
  assert.equal(
    await writeAtomically({
      folder: volume,
      payload: new Map([
        ["a", file("1", 0o400)],
        ["deep/b", file("2")],
      ]),
      group: undefined,
    }),
    true,
  );
  assert.equal(
    await writeAtomically({
      folder: volume,
      payload: new Map([
        ["deep/b", file("2")],
        ["a", file("1", 0o400)],
      ]),
      group: undefined,
    }),
    false,
  );
  assert.equal(readFileSync(join(volume, "deep/b"), "utf8"), "2");
  assert.equal(statSync(join(volume, "a")).mode & 0o777, 0o400);
  assert.equal(
    await writeAtomically({ folder: volume, payload: new Map([["a", file("3")]]), group: undefined }),
    true,
  );
  assert.equal(readFileSync(join(volume, "a"), "utf8"), "3");
  assert.deepEqual(
    readdirSync(volume).filter((name) => !name.startsWith("..")),
    ["a"],
  );
  assert.equal(readdirSync(volume).length, 3);
  await assert.rejects(
    writeAtomically({ folder: volume, payload: new Map([["../x", file("")]]), group: undefined }),
    /cannot hold/,
  );
});

test("a subPath stays in its volume", async () => {
  using folder = temporary();
  await mkdir(join(folder.path, "v"));
  symlinkSync("/etc", join(folder.path, "v", "out"));
  const mount = (subPath: string) =>
    containerMounts({
      container: { name: "c", volumeMounts: [{ name: "v", mountPath: "/m", subPath }] },
      volumes: new Map([["v", join(folder.path, "v")]]),
      env: [],
    });
  assert.equal((await mount("a/b"))[0]?.hostPath, join(folder.path, "v/a/b"));
  await assert.rejects(mount("out"), /leads out/);
  await assert.rejects(mount("../x"), /climbs out/);
});

const line = (at: number, text: string, tag = "F"): string =>
  `2026-01-01T00:00:${String(at).padStart(2, "0")}.000000000Z stdout ${tag} ${text}\n`;

async function read(path: string, options: LogOptions, isOver: () => boolean = () => true): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const bytes of await readLogFile({
    path,
    options,
    isOver,
    clock: systemClock,
    signal: new AbortController().signal,
  }))
    parts.push(bytes);
  return Buffer.concat(parts).toString("utf8");
}

test("a log is read whole, by its tail, since a time, cut, and with stamps", async () => {
  using folder = temporary();
  const path = join(folder.path, "0.log");
  writeFileSync(path, line(1, "one") + line(2, "tw", "P") + line(2, "o") + line(3, "three") + "half a li");
  assert.equal(await read(path, {}), "one\ntwo\nthree\n");
  assert.equal(await read(path, { limitBytes: 5 }), "one\nt");
  assert.equal(await read(path, { sinceTime: "2026-01-01T00:00:03Z" }), "three\n");
  assert.equal(
    await read(path, { timestamps: true, limitBytes: 36 }),
    "2026-01-01T00:00:01.000000000Z one\n2",
  );
  writeFileSync(path, "2026-01-01T00:00:01.25Z stdout F one\n");
  assert.equal(await read(path, { timestamps: true }), "2026-01-01T00:00:01.250000000Z one\n");
  writeFileSync(path, Array.from({ length: 30_000 }, (_none, at) => line(at % 60, `row ${at}`)).join(""));
  assert.equal(await read(path, { tailLines: 2 }), "row 29998\nrow 29999\n");
  assert.equal((await read(path, { tailLines: 29_999 })).split("\n").length, 30_000);
  assert.equal(await read(path, { tailLines: 0 }), "");
  await assert.rejects(read(join(folder.path, "none"), {}), /not there/);
});

test("a followed log goes on over a rotation and ends with its container", async () => {
  using folder = temporary();
  const path = join(folder.path, "0.log");
  writeFileSync(path, line(1, "one"));
  let over = false;
  const reading = read(path, { follow: true }, () => over);
  await systemClock.sleep(50, { signal: new AbortController().signal });
  appendFileSync(path, line(2, "two"));
  renameSync(path, `${path}.1`);
  appendFileSync(`${path}.1`, line(3, "late"));
  writeFileSync(path, line(4, "new"));
  await systemClock.sleep(500, { signal: new AbortController().signal });
  appendFileSync(path, line(5, "last"));
  over = true;
  assert.equal(await reading, "one\ntwo\nlate\nnew\nlast\n");
});

test("archives are imported once, again when they changed or their images are gone, and a broken one harms no other", async () => {
  using folder = temporary();
  await mkdir(join(folder.path, "images"));
  for (const name of ["a.tar", "b.tar", "broken.tar", "note.txt"])
    writeFileSync(join(folder.path, "images", name), name);
  const imported: string[] = [];
  let settled = 0;
  const tags = new Set<string>();
  const round = async (): Promise<readonly string[]> => {
    const found = await importImages({
      folder: join(folder.path, "images"),
      doneFile: join(folder.path, "done.json"),
      files: systemFiles,
      clock: systemClock,
      log: silentLog,
      signal: new AbortController().signal,
      settle: () => {
        settled += 1;
        return Promise.resolve();
      },
      runtime: { images: () => Promise.resolve([{ tags: [...tags] }]) } as unknown as Runtime,
      importTar: (path) => {
        const name = path.slice(path.lastIndexOf("/") + 1, -4);
        if (name === "broken") return Promise.reject(new Error("not a tar"));
        imported.push(name);
        tags.add(`x/${name}:1`);
        return Promise.resolve([`x/${name}:1`]);
      },
    });
    return [...found].toSorted();
  };
  assert.deepEqual(await round(), ["x/a:1", "x/b:1"]);
  assert.deepEqual(await round(), ["x/a:1", "x/b:1"]);
  assert.deepEqual(imported, ["a", "b"]);
  writeFileSync(join(folder.path, "images", "a.tar"), "changed");
  tags.delete("x/b:1");
  await round();
  assert.deepEqual(imported, ["a", "b", "a", "b"]);
  assert.equal(settled, 4, "what was unpacked is on disk before it counts as imported");
});
