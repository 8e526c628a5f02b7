import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { makeProcessFolder, sweepProcessFolders } from "./process-folder.ts";

const prefix = "cortado-test-";

/** Makes a folder in a process of its own, which is then killed; answers the folder and the process' number. */
async function killedOne(parent: string): Promise<{ readonly folder: string; readonly pid: number }> {
  const source = `
    import { makeProcessFolder } from ${JSON.stringify(join(import.meta.dirname, "process-folder.ts"))};
    console.log(await makeProcessFolder(${JSON.stringify(parent)}, ${JSON.stringify(prefix)}));
    setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const folder = await new Promise<string>((resolve) =>
    child.stdout.once("data", (line: Buffer) => resolve(line.toString().trim())),
  );
  assert.ok(existsSync(folder));
  assert.equal(await sweepProcessFolders(parent, prefix), 0, "it is alive");
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
  return { folder, pid: child.pid ?? 0 };
}

test("folders of killed processes go, with what is in them; those in use and those that nobody knows stay", async (context) => {
  const parent = mkdtempSync(join(tmpdir(), "process-folder-"));
  context.after(() => rmSync(parent, { recursive: true }));
  const outside = join(parent, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "kept"), "");
  const { folder, pid } = await killedOne(parent);
  writeFileSync(join(folder, "key"), "secret");
  symlinkSync(outside, join(folder, "link"));
  const own = await makeProcessFolder(parent, prefix);
  // Our number, and another start: a process of before, whose number we got.
  const before = join(parent, `${prefix}${process.pid}-1-abcdef`);
  mkdirSync(before);
  const unknown = [`${prefix}abcdef`, `${prefix}${pid}-abcdef`, `other-${pid}-1-abcdef`];
  for (const name of unknown) mkdirSync(join(parent, name));
  symlinkSync(outside, join(parent, `${prefix}${pid}-1-abcdef`));
  assert.equal(await sweepProcessFolders(parent, prefix), 2);
  assert.deepEqual(
    readdirSync(parent).toSorted(),
    [basename(own), "outside", ...unknown, `${prefix}${pid}-1-abcdef`].toSorted(),
  );
  assert.deepEqual(readdirSync(outside), ["kept"]);
  assert.equal(await sweepProcessFolders(join(parent, "none"), prefix), 0);
});
