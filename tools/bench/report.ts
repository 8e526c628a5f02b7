import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** One figure, with what is aimed at. */
export type Figure = {
  readonly name: string;
  readonly value: string;
  readonly aim?: string;
  readonly ok?: boolean;
};
export type Section = {
  readonly title: string;
  readonly figures: readonly Figure[];
  readonly notes?: readonly string[];
};

export function sectionText({ title, figures, notes = [] }: Section): string {
  const rows = figures.map(
    ({ name, value, aim, ok }) =>
      `| ${name} | ${value} | ${aim ?? ""} | ${ok === undefined ? "" : ok ? "met" : "missed"} |`,
  );
  const tail = notes.length === 0 ? [] : ["", ...notes];
  return [`## ${title}`, "", "| what | measured | aim | |", "|---|---|---|---|", ...rows, ...tail, ""].join(
    "\n",
  );
}

/** Writes sections into the document; sections that were not measured this time stay as they are. */
export function writeReport(path: string, sections: readonly Section[], preface: string): void {
  const old = existsSync(path) ? readFileSync(path, "utf8") : "";
  const kept = new Map<string, string>();
  for (const part of old.split(/^(?=## )/m).slice(1))
    kept.set(/^## (.*)$/m.exec(part)?.[1] ?? "", `${part.trimEnd()}\n`);
  for (const section of sections) kept.set(section.title, sectionText(section));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${preface}\n${[...kept.values()].join("\n")}`);
}
