import { StatusError } from "@cortado/std/status";
import { parseYamlDocuments, type YamlDocument } from "@cortado/wire/yaml";
import type { BundleFile, BundleOptions, ReadDocuments } from "./bundle.ts";
import { BUNDLE_OBJECTS_MAX, MANIFEST_BYTES_MAX } from "../limits.ts";
import { contentKind } from "./content-kind.ts";
import { atItsPlace, decodeText } from "./fleet-yaml/fleet-yaml.ts";
import { rawFiles } from "./render/raw-files.ts";

/** In this thread, which nobody else can use meanwhile: half a second for each MiB. */
export const readHere: ReadDocuments = async (text) => await Promise.resolve(parseYamlDocuments(text));

/**
 * Reads the manifests that some store gets as they are, so that a fault in one is told with its place before anything is rendered.
 * @returns warnings
 * @throws StatusError "Invalid" that names every bad file
 */
export async function checkManifests(
  files: readonly BundleFile[],
  {
    everyOptions,
    root,
    readDocuments,
  }: {
    readonly everyOptions: readonly BundleOptions[];
    readonly root: string;
    readonly readDocuments?: ReadDocuments | undefined;
  },
): Promise<readonly string[]> {
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
      const documents = await parseManifest(path, content, readDocuments);
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

/** Before it is read, which takes its time. */
function checkSize(path: string, content: Uint8Array): void {
  const most = MANIFEST_BYTES_MAX;
  if (content.byteLength > most && !path.startsWith("the output of "))
    throw new StatusError(
      "Invalid",
      `${path} has ${content.byteLength} bytes, and a file of manifests has ${most} at most; make several of it`,
    );
}

/** The documents of a file. @throws StatusError "Invalid" with its place */
export async function parseManifest(
  path: string,
  content: Uint8Array,
  readDocuments: ReadDocuments = readHere,
): Promise<readonly YamlDocument[]> {
  checkSize(path, content);
  const text = decodeText(path, content);
  const parts = text.match(/^---(?=\s|$)/gm)?.length ?? 0;
  if (parts > BUNDLE_OBJECTS_MAX)
    throw new StatusError(
      "Invalid",
      `${path} has ${parts} documents, and ${BUNDLE_OBJECTS_MAX} objects are the most of a bundle; make several bundles of it`,
    );
  try {
    return await readDocuments(text);
  } catch (error) {
    throw atItsPlace(path, error);
  }
}
