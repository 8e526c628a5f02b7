import { StatusError } from "@cortado/std/status";
import { parseYamlDocuments } from "@cortado/wire/yaml";
import type { BundleFile, BundleOptions } from "./bundle.ts";
import { contentKind } from "./content-kind.ts";
import { atItsPlace, decodeText } from "./fleet-yaml/fleet-yaml.ts";
import { rawFiles } from "./render/raw-files.ts";

/**
 * Reads the manifests that some store gets as they are, so that a fault in one is told with its place before anything is rendered.
 * @returns warnings
 * @throws StatusError "Invalid" that names every bad file
 */
export function checkManifests(
  files: readonly BundleFile[],
  { everyOptions, root }: { readonly everyOptions: readonly BundleOptions[]; readonly root: string },
): readonly string[] {
  const names = new Set(files.map(({ name }) => name));
  const checked = new Set<BundleFile>();
  for (const options of everyOptions) {
    const { helm, kustomize } = contentKind(options, (name) => names.has(name));
    if (!helm && !kustomize) for (const file of rawFiles(files, options)) checked.add(file);
  }
  const faults: string[] = [];
  const warnings: string[] = [];
  for (const { name, content } of checked) {
    const path = root === "" ? name : `${root}/${name}`;
    try {
      const documents = parseManifest(path, content);
      const twice = new Set(documents.flatMap(({ duplicates }) => duplicates));
      for (const key of twice)
        warnings.push(`${path}: the key ${key} is given twice in one object; the last one counts`);
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  if (faults.length > 0) throw new StatusError("Invalid", faults.join("\n"));
  return warnings;
}

/** The documents of a file. @throws StatusError "Invalid" with its place */
export function parseManifest(path: string, content: Uint8Array): ReturnType<typeof parseYamlDocuments> {
  const text = decodeText(path, content);
  try {
    return parseYamlDocuments(text);
  } catch (error) {
    throw atItsPlace(path, error);
  }
}
