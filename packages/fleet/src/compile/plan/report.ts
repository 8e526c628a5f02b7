import type { Compiled } from "../bundle.ts";
import type { Plan } from "./plan.ts";

/** Text for a person, and whether everything is well. */
export type Report = { readonly text: string; readonly isWell: boolean };

/** What compiling says: a line for each bundle, then warnings and problems. */
export function compiledReport({ bundles, problems }: Compiled): Report {
  const lines = bundles.map(
    ({ name, path, files }) => `ok       ${name}  ${placed(path)}, ${counted(files.length, "file")}`,
  );
  for (const { warnings } of bundles)
    for (const warning of warnings) lines.push(`warning  ${indented(warning)}`);
  lines.push(...problemLines(problems));
  if (bundles.length === 0 && problems.length === 0) lines.push("problem  there is no bundle here");
  const isWell = problems.length === 0 && bundles.length > 0;
  lines.push(`${counted(bundles.length, "bundle")}, ${counted(problems.length, "problem")}`);
  return { text: `${lines.join("\n")}\n`, isWell };
}

/** What each cluster would get, those that get the same together. */
export function planReport({ bundles, problems }: Plan): Report {
  const lines: string[] = [];
  for (const bundle of bundles) {
    lines.push(`${bundle.name}  ${placed(bundle.path)}`);
    for (const warning of bundle.warnings) lines.push(`  warning: ${indented(warning)}`);
    for (const { deploymentId, objects, bytes, needs, clusters } of bundle.variants) {
      lines.push(
        `  ${deploymentId.slice(0, 14)}  ${counted(objects.length, "object")}, ${bytes} bytes  ${told(clusters)}`,
      );
      for (const object of objects) lines.push(`    ${object}`);
      lines.push(...needLines(needs));
    }
    for (const { message, needs, clusters } of bundle.unknown)
      lines.push(
        `  unknown  it can only be rendered with what is there  ${told(clusters)}`,
        ...needLines(needs),
        `    without it: ${indented(message)}`,
      );
    for (const { why, clusters } of bundle.kept) lines.push(`  nothing  ${why}  ${told(clusters)}`);
    for (const { message, clusters } of bundle.failed)
      lines.push(`  failed   ${told(clusters)}\n    ${indented(message)}`);
  }
  lines.push(...problemLines(problems));
  if (bundles.length === 0 && problems.length === 0) lines.push("problem  there is no bundle here");
  const isWell =
    problems.length === 0 && bundles.length > 0 && bundles.every(({ failed }) => failed.length === 0);
  return { text: `${lines.join("\n")}\n`, isWell };
}

function needLines(needs: readonly string[]): readonly string[] {
  return needs.map((need) => `    needs ${need}`);
}

export function problemLines(problems: Compiled["problems"]): readonly string[] {
  return problems.map(
    ({ bundle, message }) => `problem  ${bundle === undefined ? "" : `${bundle}: `}${indented(message)}`,
  );
}

function placed(path: string): string {
  return `from ${path === "" ? "the root" : path}`;
}

const NAMES_SHOWN = 5;

export function told(clusters: readonly string[]): string {
  const shown = clusters.slice(0, NAMES_SHOWN).join(", ");
  const more = clusters.length - NAMES_SHOWN;
  return `${counted(clusters.length, "cluster")}: ${shown}${more > 0 ? ` and ${more} more` : ""}`;
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function indented(text: string): string {
  return text.trimEnd().replaceAll("\n", "\n    ");
}
