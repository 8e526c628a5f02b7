import { yamlText } from "@cortado/wire/yaml";
import { StatusError } from "@cortado/std/status";
import type { YamlPath } from "@cortado/wire/yaml/place";
import type { BundleOptions, BundleTarget } from "../bundle.ts";
import type { FileList, FleetYamlFile, WrittenOptions, WrittenTarget } from "./fleet-yaml.ts";

/** fleet.yaml with its lists of files made into `include` (fleet.md 8). */
export type Translated = {
  readonly options: BundleOptions;
  readonly targets: readonly BundleTarget[];
  readonly customizations: readonly BundleTarget[];
  /** It is written in the guide's dialect: its targets are targets, not customizations. */
  readonly isDialect: boolean;
  /** Where each pattern of an `include` stands. */
  readonly includes: readonly { readonly pattern: string; readonly at: YamlPath; readonly who: string }[];
  readonly warnings: readonly string[];
};

/** @throws StatusError "Invalid" for what the dialect does not have */
export function translate(file: FleetYamlFile): Translated {
  const { targets = [], targetCustomizations = [], ...rest } = file.value;
  const includes: { pattern: string; at: YamlPath; who: string }[] = [];
  const one = (options: WrittenTarget, at: YamlPath): BundleTarget => {
    const { yaml, ...others } = options;
    if (yaml === undefined) return others;
    if (!isFileList(yaml)) return { ...others, yaml };
    const include = yaml.map((item, index) => {
      const pattern = patternOf(file, item, [...at, "yaml", index]);
      const who = at.length === 0 ? "the bundle" : `target ${options.name ?? String(at[1])}`;
      includes.push({ pattern, at: [...at, "yaml", index, "path"], who });
      return pattern;
    });
    return { ...others, include };
  };
  const options = one(rest, []);
  const read = targets.map((target, index) => one(target, ["targets", index]));
  const customizations = targetCustomizations.map((target, index) =>
    one(target, ["targetCustomizations", index]),
  );
  const isDialect = includes.length > 0;
  if (isDialect && customizations.length > 0)
    throw new StatusError(
      "Invalid",
      file.at(
        ["targetCustomizations"],
        "targetCustomizations cannot stand beside a list of files in yaml; write them as targets, or move the files into directories with a fleet.yaml each",
      ),
    );
  return {
    options,
    targets: read,
    customizations,
    isDialect,
    includes,
    warnings: isDialect ? [rewrite(file, rest, targets)] : [],
  };
}

function isFileList(yaml: NonNullable<WrittenOptions["yaml"]>): yaml is FileList {
  return Array.isArray(yaml);
}

function patternOf(file: FleetYamlFile, item: FileList[number], at: YamlPath): string {
  for (const key of ["patch", "values", "namespace"] as const)
    if (Object.hasOwn(item, key))
      throw new StatusError(
        "Invalid",
        file.at(
          [...at, key],
          `${key} of a file is not done; move the file into a directory with its own fleet.yaml and set it there`,
        ),
      );
  if (item.path === undefined || item.path === "")
    throw new StatusError("Invalid", file.at(at, "each file of the list needs a path"));
  return item.path.replace(/^(\.?\/)+/, "");
}

/** The same in Fleet's own words: a directory for each target, each with its files. */
function rewrite(file: FleetYamlFile, rest: WrittenOptions, targets: readonly WrittenTarget[]): string {
  const { yaml: _list, ...shared } = rest;
  const parts: string[] = [];
  const told = targets.length === 0 ? [{ name: "files", yaml: rest.yaml } as WrittenTarget] : targets;
  for (const [index, { yaml, ...target }] of told.entries()) {
    const folder = target.name ?? `target${String(index).padStart(3, "0")}`;
    const { name, clusterName, clusterSelector, clusterGroup, clusterGroupSelector, ...options } = target;
    const matching = { name, clusterName, clusterSelector, clusterGroup, clusterGroupSelector };
    const overrideTargets = targets.length === 0 ? undefined : [definedOnly(matching)];
    const files = Array.isArray(yaml) ? (yaml as FileList).map((item) => item.path ?? "") : [];
    const text = yamlText(definedOnly({ ...shared, ...options, targets: undefined, overrideTargets }));
    parts.push(
      `# ${folder}/fleet.yaml, with ${files.length === 0 ? "its files" : files.join(", ")} moved beside it\n${text}`,
    );
  }
  const first = targets.findIndex((target) => Array.isArray(target.yaml));
  const at = first === -1 ? ["yaml"] : ["targets", first, "yaml"];
  return file.at(
    at,
    `yaml is a list of files here, which only Cortado reads; Fleet refuses it and wants an object with "overlays". The same for both:\n${parts.join("")}`,
  );
}

function definedOnly(tree: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(tree).filter(([, value]) => value !== undefined));
}
