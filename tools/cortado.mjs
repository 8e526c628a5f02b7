#!/usr/bin/env node
// `npx cortado …`: hands the words to the bundle, on our own Node. Plain JavaScript, as any Node from 20 on may start it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { allocator } from "./allocator.mjs";

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const bundle = join(top, "dist", "cortado.cjs");
const ours = join(top, "node_modules", `node-linux-${process.arch}`, "bin", "node");
if (!existsSync(bundle)) {
  console.error("cortado: the bundle is not there yet; run npm start or npm run bundle first");
  process.exit(1);
}
const child = spawn(
  existsSync(ours) ? ours : process.execPath,
  ["--enable-source-maps", bundle, ...process.argv.slice(2)],
  { stdio: "inherit", env: { ...process.env, ...allocator } },
);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.once("exit", (code, signal) => (process.exitCode = code ?? (signal === null ? 1 : 128)));
