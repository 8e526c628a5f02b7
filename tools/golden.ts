// Runs the golden tests; with --write they write their files anew, to be read in review like code.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";

const files = globSync([
  "packages/*/src/**/*.golden.test.ts",
  "tests/**/*.golden.test.ts",
  "tools/**/*.golden.test.ts",
]);
const env = process.argv.includes("--write") ? { ...process.env, GOLDEN_WRITE: "1" } : process.env;
const { status } = spawnSync(process.execPath, ["--test", "--test-isolation=none", ...files], {
  stdio: "inherit",
  env,
});
process.exitCode = files.length === 0 ? 1 : (status ?? 1);
