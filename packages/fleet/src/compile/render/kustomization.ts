import { isTree, listAt, setField, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import { yamlText } from "@cortado/wire/yaml";
import type { BundleFile } from "../bundle.ts";
import { kustomizationNames } from "../content-kind.ts";
import { decodeText, parseAt } from "../fleet-yaml/fleet-yaml.ts";

/** Helm's output, as a kustomization sees it. */
export const HELM_OUTPUT = "fleet-manifests.yaml";

/**
 * Files whose kustomizations reach nothing outside of the bundle.
 * @throws StatusError "Invalid" that names the entry: nothing is fetched from elsewhere
 */
export function checkKustomizations(files: readonly BundleFile[]): void {
  for (const file of files) {
    const { folder, name } = split(file.name);
    if (!kustomizationNames.includes(name)) continue;
    const { value } = parseAt(file.name, decodeText(file.name, file.content));
    for (const key of [
      "resources",
      "bases",
      "components",
      "crds",
      "configurations",
      "transformers",
      "generators",
    ])
      for (const entry of listAt(value, key))
        if (typeof entry === "string") checkEntry(file.name, folder, { key, entry });
    for (const key of ["patches", "patchesStrategicMerge", "patchesJson6902"])
      for (const entry of listAt(value, key)) {
        const path = isTree(entry) ? entry["path"] : entry;
        if (typeof path === "string" && !path.includes("\n"))
          checkEntry(file.name, folder, { key, entry: path });
      }
    if (
      isTree(value) &&
      (value["helmCharts"] !== undefined || value["helmChartInflationGenerator"] !== undefined)
    )
      throw new StatusError(
        "Invalid",
        `${file.name}: helmCharts is not done; put the chart beside it and name it in helm.chart of fleet.yaml`,
      );
  }
}

type Entry = { readonly key: string; readonly entry: string };

function checkEntry(file: string, folder: string, { key, entry }: Entry): void {
  const isRemote =
    entry.includes("://") || entry.includes("?") || /^(git@|git::|[\w.-]+\.\w+\/[^/]+\/)/.test(entry);
  const leaves = entry.startsWith("/") || depth(`${folder}/${entry}`) < 0;
  if (!isRemote && !leaves) return;
  const why = isRemote
    ? "comes from elsewhere, and nothing is fetched while rendering"
    : "lies outside of the bundle";
  throw new StatusError("Invalid", `${file}: ${key}: ${entry} ${why}; put it into the bundle's directory`);
}

/** The least depth that a path has on its way; below 0: it leaves. */
function depth(path: string): number {
  let [here, least] = [0, 0];
  for (const step of path.split("/")) {
    if (step === "" || step === ".") continue;
    here += step === ".." ? -1 : 1;
    least = Math.min(least, here);
  }
  return least;
}

function split(path: string): { readonly folder: string; readonly name: string } {
  const at = path.lastIndexOf("/");
  return { folder: path.slice(0, Math.max(at, 0)), name: path.slice(at + 1) };
}

/** Files with Helm's output as a resource of a directory's kustomization. @throws StatusError "Invalid" when there is none */
export function withHelmOutput(
  files: readonly BundleFile[],
  { dir, output }: { readonly dir: string; readonly output: string },
): readonly BundleFile[] {
  const path = (name: string): string => (dir === "" ? name : `${dir}/${name}`);
  const found = kustomizationFile(files, dir);
  const { value } = parseAt(found.name, decodeText(found.name, found.content));
  const kustomization: Tree = isTree(value) ? { ...value } : {};
  const resources = listAt(kustomization, "resources");
  if (!resources.includes(HELM_OUTPUT)) setField(kustomization, "resources", [...resources, HELM_OUTPUT]);
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  return [
    ...files.filter(({ name }) => name !== found.name && name !== path(HELM_OUTPUT)),
    { name: found.name, content: encode(yamlText(kustomization)) },
    { name: path(HELM_OUTPUT), content: encode(output) },
  ];
}

/** @throws StatusError "Invalid" when the directory has none */
export function kustomizationFile(files: readonly BundleFile[], dir: string): BundleFile {
  const wanted = kustomizationNames.map((name) => (dir === "" ? name : `${dir}/${name}`));
  const found = files.find(({ name }) => wanted.includes(name));
  if (found !== undefined) return found;
  throw new StatusError(
    "Invalid",
    `kustomize.dir: ${dir || "the bundle's directory"} has no kustomization.yaml; add one, or name the directory that has it`,
  );
}
