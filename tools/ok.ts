// Everything that CI checks but the slow suites, in order; stops at the first that fails.
import { spawnSync } from "node:child_process";

const checks: readonly (readonly [string, ...string[]])[] = [
  ["node_modules/.bin/oxfmt", "--check"],
  ["node_modules/.bin/oxlint", "--type-aware", "--quiet"],
  ["node_modules/.bin/tsc", "-p", "."],
  ["node_modules/.bin/tsc", "-p", "packages/dashboard"],
  [process.execPath, "tools/tidy.ts"],
  [process.execPath, "tools/house-picture.ts", "--check"],
  [process.execPath, "tools/test.ts", "fast"],
];

for (const [program, ...words] of checks) {
  const startMs = performance.now();
  const { status } = spawnSync(program, words, { stdio: "inherit" });
  const took = `${((performance.now() - startMs) / 1_000).toFixed(1)} s`;
  console.log(`${status === 0 ? "ok" : "FAILED"}: ${words.join(" ") || program} (${took})`);
  if (status !== 0) process.exit(1);
}
