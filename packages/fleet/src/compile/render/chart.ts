import { StatusError } from "@cortado/std/status";
import type { BundleFile, BundleOptions } from "../bundle.ts";

/** What of a chart only a store could know, or what reaches into the network. @throws StatusError "Invalid" that names it */
export function checkChart(files: readonly BundleFile[], chartDir: string): void {
  const prefix = chartDir === "" ? "" : `${chartDir}/`;
  for (const { name, content } of files) {
    if (!name.startsWith(prefix)) continue;
    if (name.includes("templates/") && /\.(ya?ml|tpl|json)$/.test(name)) checkTemplate(name, content);
    if (name.endsWith("values.schema.json") && /"\$ref"\s*:\s*"(https?|file):/.test(textOf(content)))
      throw new StatusError(
        "Invalid",
        `${name} has a $ref to another place, and nothing is fetched while rendering; write the schema out, or set helm.skipSchemaValidation`,
      );
  }
}

function textOf(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}

function checkTemplate(name: string, content: Uint8Array): void {
  for (const [index, line] of textOf(content).split("\n").entries())
    if (/\{\{(?!-?\s*\/\*)[^}]*\blookup\s+["'(.$]/.test(line))
      throw new StatusError(
        "Invalid",
        `${name}:${index + 1}: lookup asks the store while it renders, which is done at the hub; give what it looks for by values`,
      );
}

/** @throws StatusError "Invalid" for a chart that is not among the files */
export function externalChart({ helm }: BundleOptions): StatusError {
  const { chart = "", repo, version } = helm ?? {};
  const from = repo === undefined || repo === "" ? "" : ` of ${repo}`;
  const told = `helm.chart ${chart}${version === undefined ? "" : ` ${version}`}${from}`;
  return new StatusError(
    "Invalid",
    `${told} is not in the repository, and fetching charts is not done; put it there with "helm pull --untar", and name its directory in helm.chart`,
  );
}

/** A chart around `templates/` of plain manifests, as Fleet makes one. */
export function chartAround(files: readonly BundleFile[], bundle: string): readonly BundleFile[] {
  const text = `apiVersion: v2\nname: ${JSON.stringify(bundle)}\nversion: 0.0.0\n`;
  return [
    { name: "Chart.yaml", content: new TextEncoder().encode(text) },
    ...files.filter(({ name }) => name.startsWith("templates/")),
  ];
}
