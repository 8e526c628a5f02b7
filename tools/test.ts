// Runs the tests set by set and ends with the line "N passed, N failed".
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const top = join(import.meta.dirname, "..");

type Set = {
  readonly name: string;
  readonly suffixes: readonly string[];
  /** All files in one process: fast, and a leak in one breaks another. */
  readonly together: boolean;
  readonly minutesMax: number;
  /** Only with --all: CI's. */
  readonly slow: boolean;
};

const sets: readonly Set[] = [
  { name: "fast", suffixes: [".test.ts", ".golden.test.ts"], together: true, minutesMax: 3, slow: false },
  { name: "process", suffixes: [".process.test.ts"], together: false, minutesMax: 6, slow: false },
  { name: "sim", suffixes: [".sim.test.ts"], together: false, minutesMax: 4, slow: false },
  { name: "demo", suffixes: [".demo.test.ts"], together: false, minutesMax: 8, slow: false },
  { name: "root", suffixes: [".root.test.ts"], together: false, minutesMax: 25, slow: true },
  { name: "long", suffixes: [".long.test.ts"], together: false, minutesMax: 15, slow: true },
  { name: "browser", suffixes: [".browser.test.ts"], together: false, minutesMax: 5, slow: true },
  { name: "vm", suffixes: [".vm.test.ts"], together: false, minutesMax: 10, slow: true },
];

const named = [".process", ".sim", ".demo", ".root", ".long", ".browser", ".vm", ".scale", ".golden"];

type Counts = { readonly passed: number; readonly failed: number; readonly skipped: number };

const words = process.argv.slice(2);
const all = words.includes("--all");
const only = words.find((word) => !word.startsWith("--"));
let total: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const set of sets) {
  if ((set.slow && !all && only !== set.name) || (only !== undefined && only !== set.name)) continue;
  const files = filesOf(set);
  if (files.length === 0) {
    console.log(`\n${set.name}: no files match ${set.suffixes.join(", ")}`);
    if (set.name === "fast") total = add(total, { passed: 0, failed: 1, skipped: 0 }); // a runner that sees nothing must not pass
    continue;
  }
  console.log(`\n${set.name}: ${files.length} files`);
  const startMs = performance.now();
  const counts = await runSet(set, files);
  console.log(
    `${set.name}: ${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""} (${((performance.now() - startMs) / 1_000).toFixed(0)} s)`,
  );
  total = add(total, counts);
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

function add(one: Counts, other: Counts): Counts {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
  };
}

function filesOf(set: Set): readonly string[] {
  const found = globSync(
    ["packages/*/src/**/*.test.ts", "examples/**/*.test.ts", "tests/**/*.test.ts", "tools/**/*.test.ts"],
    { cwd: top },
  );
  const plain = (path: string): boolean => !named.some((suffix) => path.endsWith(`${suffix}.test.ts`));
  return found
    .filter((path) => !path.includes("node_modules"))
    .filter((path) =>
      set.suffixes.some((suffix) => path.endsWith(suffix) && (suffix !== ".test.ts" || plain(path))),
    )
    .toSorted();
}

/** Runs node's own test runner and reads its TAP: one line per top-level test. */
function runSet(set: Set, files: readonly string[]): Promise<Counts> {
  const isolation = set.together ? ["--test-isolation=none"] : ["--test-concurrency=1"];
  const flags = ["--test", ...isolation, "--test-reporter=tap", `--test-timeout=${set.minutesMax * 60_000}`];
  const child = spawn(process.execPath, [...flags, ...files], {
    cwd: top,
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const limit = setTimeout(
    () => {
      console.log(`${set.name}: over ${set.minutesMax} minutes; ended`);
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    },
    (set.minutesMax * 60 + 10) * 1_000,
  );
  const reader = newTapReader();
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (part: string) => reader.take(part));
  return new Promise((resolve) => {
    child.once("exit", (code) => {
      clearTimeout(limit);
      resolve(reader.counts(code));
    });
  });
}

function newTapReader(): { take(part: string): void; counts(code: number | null): Counts } {
  const summary = new Map<string, number>();
  let rest = "";
  let showing = false;
  const line = (text: string): void => {
    const count = /^# (tests|pass|fail|cancelled|skipped|todo) (\d+)$/.exec(text);
    if (count !== null) summary.set(count[1] as string, Number(count[2]));
    const result = /^(\s*)(not ok|ok) \d+ - (.*)$/.exec(text);
    if (result !== null) {
      showing = result[2] === "not ok";
      if (showing || / # SKIP/.test(text)) console.log(text.replaceAll("\\#", "#"));
    } else if (showing && text.trim() !== "") console.log(text);
  };
  return {
    take(part) {
      const lines = (rest + part).split("\n");
      rest = lines.pop() ?? "";
      for (const one of lines) line(one);
    },
    counts(code) {
      const passed = summary.get("pass") ?? 0;
      const failed = (summary.get("fail") ?? 0) + (summary.get("cancelled") ?? 0);
      // A run that died before its summary failed, whatever it had counted.
      return {
        passed,
        failed: failed === 0 && code !== 0 ? 1 : failed,
        skipped: summary.get("skipped") ?? 0,
      };
    },
  };
}
