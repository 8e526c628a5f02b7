// Measures what the README promises: npm run bench -- [idle] [demo] [store] [stall] [lines] [box512] [fleet] [mqtt] [--idle-minutes N] [--stores N] [--fleet-part PART]
import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { whyNoBoxes } from "../tests/end-to-end/demo-world.ts";
import { benchBox512, benchDemo } from "./bench/demo.ts";
import { benchFleet } from "./bench/fleet.ts";
import { benchLines } from "./bench/lines.ts";
import { benchMqtt } from "./bench/mqtt.ts";
import { sectionText, writeReport, type Section } from "./bench/report.ts";
import { benchStall } from "./bench/stall.ts";
import { benchStore } from "./bench/store.ts";

const top = join(import.meta.dirname, "..");
const all = ["idle", "demo", "store", "stall", "lines", "box512", "fleet", "mqtt"] as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "idle-minutes": { type: "string", default: "10" },
    /** Stores of the largest chain of `fleet`. */
    stores: { type: "string", default: "10000" },
    /** One part of `fleet` alone, which is printed and not written down. */
    "fleet-part": { type: "string" },
  },
});
const unknown = positionals.find((word) => !(all as readonly string[]).includes(word));
if (unknown !== undefined) throw new Error(`there is no part ${unknown}; there are ${all.join(", ")}`);
const wants = (part: (typeof all)[number]): boolean => positionals.length === 0 || positionals.includes(part);

const sections: Section[] = [];
const add = (more: readonly Section[]): void => {
  for (const section of more) console.log(`\n${sectionText(section)}`);
  sections.push(...more);
};
if (wants("lines")) add([benchLines(top)]);
if (wants("store")) add([await benchStore()]);
if (wants("stall")) add([await benchStall()]);
const part = values["fleet-part"];
if (wants("fleet"))
  for await (const section of benchFleet({ stores: Number(values.stores), part })) add([section]);
if (wants("mqtt")) for await (const section of benchMqtt()) add([section]);
const parts = (["idle", "demo"] as const).filter(wants);
if (parts.length > 0 || wants("box512")) {
  const missing = await whyNoBoxes();
  if (missing !== undefined) console.log(`\nThe demo is not measured: it ${missing}.`);
  else {
    if (parts.length > 0) add(await benchDemo({ idleMinutes: Number(values["idle-minutes"]), parts }));
    if (wants("box512")) add([await benchBox512()]);
  }
}
if (part === undefined) {
  writeReport(join(top, "docs", "bench.md"), sections, preface());
  console.log(`written to docs/bench.md`);
}

function preface(): string {
  const said = (program: string, ...words: readonly string[]): string => {
    try {
      return (execFileSync(program, words, { encoding: "utf8" }).split("\n")[0] ?? "").trim();
    } catch {
      return "not there";
    }
  };
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}; load average at the end of the newest part ${(loadavg()[0] ?? 0).toFixed(1)}`;
  const versions = `Node ${process.versions.node}, SQLite ${process.versions["sqlite"]}, ${said("containerd", "--version")}, ${said("etcd", "--version")}`;
  return `# Benchmarks\n\nWritten by \`npm run bench\`, part by part; the newest figures of each. Machine: ${machine}.\nVersions: ${versions}.\n`;
}
