import { isTree, type Tree } from "@cortado/kinds/tree";
import { messageOf, StatusError } from "@cortado/std/status";
import type { YamlPath } from "@cortado/wire/yaml/place";
import { SETTINGS_BYTES_MAX } from "../limits.ts";
import type { BundleOptions, HelmOptions } from "./bundle.ts";
import { decodeText, parseAt, type FleetYamlFile } from "./fleet-yaml/fleet-yaml.ts";
import { cleanPath } from "./source/discover.ts";
import type { Source } from "./source/source.ts";
import { mergeValues } from "./value-trees.ts";

export type ValuesReading = {
  readonly source: Source;
  readonly root: string;
  readonly file: FleetYamlFile;
  /** Filled with the files that were merged: they are no content. */
  readonly used: Set<string>;
};

/**
 * Options with their valuesFiles merged into `helm.values`, later over earlier.
 * @throws StatusError "Invalid" that names the place in fleet.yaml and the file
 */
export async function mergeValuesFiles<Options extends BundleOptions>(
  options: Options,
  at: YamlPath,
  reading: ValuesReading,
): Promise<Options> {
  const { valuesFiles, ...helm } = options.helm ?? {};
  if (valuesFiles === undefined) return options;
  let values: Tree = (helm as HelmOptions).values ?? {};
  for (const [index, name] of valuesFiles.entries()) {
    const path = cleanPath(`${reading.root}/${name}`);
    const where = [...at, "helm", "valuesFiles", index];
    values = mergeValues(values, await readValues(reading, { path, name, where }));
    reading.used.add(path);
  }
  return { ...options, helm: { ...helm, values } };
}

async function readValues(
  { source, file }: ValuesReading,
  { path, name, where }: { readonly path: string; readonly name: string; readonly where: YamlPath },
): Promise<Tree> {
  if (path.startsWith(".."))
    throw new StatusError("Invalid", file.at(where, `valuesFiles: ${name} lies outside of the repository`));
  let bytes: Uint8Array;
  try {
    bytes = await source.read(path, SETTINGS_BYTES_MAX);
  } catch (error) {
    throw new StatusError("Invalid", file.at(where, `valuesFiles: ${messageOf(error)}`), { cause: error });
  }
  const { value } = parseAt(path, decodeText(path, bytes));
  if (value === null || value === undefined) return {};
  if (!isTree(value))
    throw new StatusError("Invalid", `${path}:1:1: a values file holds an object, and this one does not`);
  return value;
}
