import { parseYaml } from "@cortado/wire/yaml";
import { placeOf, type Place, type YamlPath } from "@cortado/wire/yaml/place";
import { isTree } from "@cortado/kinds/tree";
import { messageOf, StatusError } from "@cortado/std/status";
import type { BundleOptions, BundleSpec, TargetMatch } from "../bundle.ts";
import { fleetYamlShape, ofBundles } from "./fields.ts";
import { readShape, type Fault } from "./shape.ts";
import { withoutEffect } from "./without-effect.ts";

/** `yaml` as the guide writes it. */
export type FileList = readonly {
  readonly path?: string;
  readonly patch?: unknown;
  readonly values?: unknown;
  readonly namespace?: unknown;
}[];

/** Options as they stand in fleet.yaml, before the guide's dialect is made into Fleet's. */
export type WrittenOptions = Omit<BundleOptions, "yaml" | "include"> & {
  readonly yaml?: { readonly overlays?: readonly string[] } | FileList;
};

export type WrittenTarget = WrittenOptions & TargetMatch & { readonly doNotDeploy?: boolean };

export type FleetYaml = WrittenOptions &
  Pick<BundleSpec, "paused" | "rolloutStrategy" | "dependsOn" | "targetCustomizationMode"> & {
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly targets?: readonly WrittenTarget[];
    readonly targetCustomizations?: readonly WrittenTarget[];
    readonly overrideTargets?: readonly TargetMatch[];
    readonly imageScans?: readonly unknown[];
  };

/** A fleet.yaml that was read, with a way to say where in it something stands. */
export type FleetYamlFile = {
  readonly path: string;
  readonly value: FleetYaml;
  readonly warnings: readonly string[];
  /** `apps/fleet.yaml:6:5: message`. */
  readonly at: (path: YamlPath, message: string) => string;
};

/** For a directory without one. */
export const noFleetYaml: FleetYamlFile = {
  path: "",
  value: {},
  warnings: [],
  at: (_path, message) => message,
};

/** @throws StatusError "Invalid": all that is wrong in it, a line each, with its place */
export function readFleetYaml(path: string, bytes: Uint8Array, isStrict: boolean): FleetYamlFile {
  const text = decodeText(path, bytes);
  const { value, duplicates } = parseAt(path, text);
  const places = new Map<string, Place>();
  const at = (where: YamlPath, message: string): string => {
    const key = JSON.stringify(where);
    const place = places.get(key) ?? placeOf(text, where);
    places.set(key, place);
    return `${path}:${place.line}:${place.column}: ${message}`;
  };
  const faults: Fault[] = [];
  const read = readShape(value ?? {}, fleetYamlShape(isStrict), faults);
  const fleetYaml = (isTree(read) ? read : {}) as FleetYaml;
  checkValues(fleetYaml, faults, isStrict);
  const errors = faults.filter(({ isWarning }) => !isWarning);
  if (errors.length > 0)
    throw new StatusError("Invalid", errors.map((fault) => at(fault.path, fault.message)).join("\n"));
  const told = faults.map((fault) => at(fault.path, fault.message));
  const twice = [...new Set(duplicates)].map(
    (key) => `${path}: the key ${key} is given twice in one object; the last one counts`,
  );
  const idle = withoutEffect(fleetYaml, isStrict).map((one) => at(one.path, one.message));
  return { path, value: fleetYaml, warnings: [...(isStrict ? [] : [...told, ...twice]), ...idle], at };
}

const LARGE_FILE_POINTER = "version https://git-lfs.github.com/spec/";

function largeFileText(path: string): string {
  return `${path} is a pointer of Git LFS, and what it points to is not fetched; commit the file itself, or leave it out by .fleetignore`;
}

/** UTF-8 without its mark. @throws StatusError "Invalid" for what is no text */
export function decodeText(path: string, bytes: Uint8Array): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (text.startsWith(LARGE_FILE_POINTER)) throw new StatusError("Invalid", largeFileText(path));
    if (!text.includes("\0")) return text;
  } catch (error) {
    // Said below, as for a NUL.
    if (error instanceof StatusError) throw error;
  }
  throw new StatusError(
    "Invalid",
    `${path} is not text in UTF-8; save it as UTF-8, or leave it out by .fleetignore`,
  );
}

/** @throws StatusError "Invalid" with the place of a fault in the text */
export function parseAt(path: string, text: string): ReturnType<typeof parseYaml> {
  try {
    return parseYaml(text);
  } catch (error) {
    throw atItsPlace(path, error);
  }
}

/** The parser's error with the file and the place before it. */
export function atItsPlace(path: string, error: unknown): StatusError {
  const { mark, reason } = ((error as Error).cause ?? {}) as {
    mark?: { line: number; column: number };
    reason?: string;
  };
  const message =
    mark === undefined
      ? `${path}: ${messageOf(error)}`
      : `${path}:${mark.line + 1}:${mark.column + 1}: this is not YAML: ${reason ?? messageOf(error)}`;
  return new StatusError("Invalid", message, { cause: error });
}

function checkValues(fleetYaml: FleetYaml, faults: Fault[], isStrict: boolean): void {
  for (const [index, { name, selector }] of (fleetYaml.dependsOn ?? []).entries())
    if (name === undefined && selector === undefined)
      faults.push({
        path: ["dependsOn", index],
        isWarning: false,
        message: `dependsOn[${index}] needs a name or a selector of the bundle that it waits for`,
      });
  if (fleetYaml.imageScans !== undefined)
    faults.push({
      path: ["imageScans"],
      isWarning: !isStrict,
      message: "imageScans is not done here: images stay as they are written; change them by a commit",
    });
  if (fleetYaml.forceSyncGeneration !== undefined)
    faults.push({
      path: ["forceSyncGeneration"],
      isWarning: true,
      message: "forceSyncGeneration changes nothing here; raise it in the GitRepo",
    });
  checkReferences(fleetYaml, [], faults);
  for (const list of ["targets", "targetCustomizations"] as const)
    for (const [index, target] of (fleetYaml[list] ?? []).entries())
      checkReferences(target, [list, index], faults);
  for (const key of Object.keys(ofBundles))
    if (Object.hasOwn(fleetYaml, key))
      faults.push({
        path: [key],
        isWarning: true,
        message: `${key} is of Bundles and changes nothing in fleet.yaml, as in Fleet; take it out`,
      });
  for (const list of ["targets", "targetCustomizations"] as const)
    for (const [index, target] of (fleetYaml[list] ?? []).entries())
      for (const key of notOfCustomizations)
        if (Object.hasOwn(target, key) || Object.hasOwn(target.helm ?? {}, key))
          faults.push({
            path: Object.hasOwn(target, key) ? [list, index, key] : [list, index, "helm", key],
            isWarning: true,
            message: `${key} of a target changes nothing, as in Fleet; set it for the whole bundle`,
          });
}

/** What is read or copied by its name has one. */
function checkReferences({ helm, downstreamResources }: WrittenOptions, at: YamlPath, faults: Fault[]): void {
  for (const [index, { configMapKeyRef, secretKeyRef }] of (helm?.valuesFrom ?? []).entries()) {
    const named = [configMapKeyRef, secretKeyRef].filter((one) => one !== undefined);
    if (named.length === 0 || named.some(({ name }) => (name ?? "") === ""))
      faults.push({
        path: [...at, "helm", "valuesFrom", index],
        isWarning: false,
        message: `helm.valuesFrom[${index}] needs the name of a ConfigMap (configMapKeyRef) or of a Secret (secretKeyRef)`,
      });
  }
  for (const [index, { kind, name }] of (downstreamResources ?? []).entries())
    if ((kind ?? "") === "" || (name ?? "") === "")
      faults.push({
        path: [...at, "downstreamResources", index],
        isWarning: false,
        message: `downstreamResources[${index}] needs kind (Secret or ConfigMap) and name`,
      });
}

const notOfCustomizations = [
  "deleteNamespace",
  "deleteCRDResources",
  "ignore",
  "maxHistory",
  "skipSchemaValidation",
  "disableDependencyUpdate",
];
