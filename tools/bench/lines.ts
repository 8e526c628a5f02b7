import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Section } from "./report.ts";

/** Source lines per room: without tests, what is generated, blank lines and comments alone on their line. */
export function benchLines(top: string): Section {
  const rooms = new Map<string, { source: number; tests: number }>();
  const files = globSync(
    ["packages/*/src/**/*.ts", "examples/*/**/*.{ts,py,html}", "tools/**/*.{ts,mjs}", "tests/**/*.ts"],
    { cwd: top },
  );
  for (const path of files.toSorted()) {
    if (path.includes("/generated/") || path.includes("node_modules")) continue;
    const [first = "", second = ""] = path.split("/");
    const room = first === "packages" || first === "examples" ? second : first;
    const counts = rooms.get(room) ?? { source: 0, tests: 0 };
    rooms.set(room, counts);
    const lines = readFileSync(join(top, path), "utf8")
      .split("\n")
      .filter((line) => !/^\s*(\/\/.*|\/\*.*|\*.*)?$/.test(line)).length;
    if (first === "tests" || /\.test\.ts$|\/testing\//.test(path)) counts.tests += lines;
    else counts.source += lines;
  }
  const all = [...rooms.values()].reduce(
    (sum, { source, tests }) => ({ source: sum.source + source, tests: sum.tests + tests }),
    { source: 0, tests: 0 },
  );
  const figures = [...rooms, ["all", all] as const].map(([name, { source, tests }]) => ({
    name,
    value: `${source} (tests ${tests})`,
  }));
  return {
    title: "Source lines per room",
    figures,
    notes: ["Without generated files, blank lines and lines that only comment."],
  };
}
