import { gunzipSync } from "node:zlib";
import { messageOf, StatusError } from "@cortado/std/status";
import { readTar } from "@cortado/wire/tar";
import { BUNDLE_BYTES_MAX } from "../../limits.ts";
import type { BundleFile, BundleOptions } from "../bundle.ts";
import type { HelmRun, Renderer } from "./renderer.ts";

/** What of a chart reaches into the network. @throws StatusError "Invalid" that names it */
function checkChart(files: readonly BundleFile[], chartDir: string): void {
  const prefix = chartDir === "" ? "" : `${chartDir}/`;
  const schema = files.find(
    ({ name, content }) =>
      name.startsWith(prefix) &&
      name.endsWith("values.schema.json") &&
      /"\$ref"\s*:\s*"(https?|file):/.test(textOf(content)),
  );
  if (schema !== undefined)
    throw new StatusError(
      "Invalid",
      `${schema.name} has a $ref to another place, and nothing is fetched while rendering; write the schema out, or take it away`,
    );
}

/** Helm refuses an archive that climbs out, too, and does not say why. @throws StatusError "Invalid" that names the archive */
function checkArchive(files: readonly BundleFile[], chartDir: string): void {
  const archive = files.find(({ name }) => name === chartDir && name.endsWith(".tgz"));
  if (archive === undefined) return;
  try {
    for (const { name } of readTar(gunzipSync(archive.content, { maxOutputLength: BUNDLE_BYTES_MAX })))
      if (name.startsWith("/"))
        throw new StatusError("Invalid", `its entry ${JSON.stringify(name)} is absolute`);
  } catch (cause) {
    throw new StatusError(
      "Invalid",
      `${archive.name} is no archive of a chart that can be used: ${messageOf(cause)}; pack it with "helm package"`,
      { cause },
    );
  }
}

function textOf(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}

/**
 * The output of helm for a chart. `lookup` asks the store, which the hub cannot: it stands as `slice`, which takes no such values, so
 * that a chart fails where it really asks, and only there.
 * @throws StatusError "Invalid" that names the template and the line of a lookup; as the renderer throws
 */
export async function templateChart(
  files: readonly BundleFile[],
  run: HelmRun,
  renderer: Renderer,
): Promise<string> {
  checkChart(files, run.chartDir);
  checkArchive(files, run.chartDir);
  const given = files.map((file) => (isTemplate(file.name) ? withoutLookups(file) : file));
  try {
    return await renderer.helmTemplate(given, run);
  } catch (error) {
    if (!(error instanceof StatusError) || !error.message.includes("error calling slice")) throw error;
    const asks = files.filter((file, index) => file !== given[index]);
    const place = asks.find(({ name }) => error.message.includes(name.replace(/^.*?(?=templates\/)/, "")));
    if (place === undefined) throw error;
    throw new StatusError(
      "Invalid",
      `${place.name}: lookup asks the store while it renders, and rendering is done at the hub; give by values what it looks for (${error.message})`,
      { cause: error },
    );
  }
}

function isTemplate(name: string): boolean {
  return name.includes("templates/") && /\.(ya?ml|tpl|json|txt)$/.test(name);
}

function withoutLookups(file: BundleFile): BundleFile {
  const text = textOf(file.content);
  const given = text.replaceAll(/\{\{(?!-?\s*\/\*)[^]*?\}\}/g, (action) =>
    action.replaceAll(/(^\{\{-?|[\s(|=])lookup(?=\s+["'`(.$])/g, "$1slice"),
  );
  return given === text ? file : { name: file.name, content: new TextEncoder().encode(given) };
}

/** @throws StatusError "Invalid" for a chart that is not among the files */
export function externalChart({ helm }: BundleOptions): StatusError {
  const { chart = "", repo, version } = helm ?? {};
  const from = repo === undefined || repo === "" ? "" : ` of ${repo}`;
  const told = `helm.chart ${chart}${version === undefined ? "" : ` ${version}`}${from}`;
  return new StatusError(
    "Invalid",
    `${told} is not among the files of the bundle; charts are fetched when a GitRepo or cortado fleet brings a bundle, and not while rendering: put it there with "helm pull --untar", and name its directory in helm.chart`,
  );
}

/** A chart around `templates/` of plain manifests, as Fleet makes one. */
export function chartAround(
  files: readonly BundleFile[],
  { name, commit = "" }: { readonly name: string; readonly commit?: string },
): readonly BundleFile[] {
  const build = /^[0-9a-f]{12}/.exec(commit)?.[0];
  const version = `v0.0.0${build === undefined ? "" : `+${build}`}`;
  const text = `apiVersion: v2\nname: ${JSON.stringify(name)}\nversion: ${version}\n`;
  return [
    { name: "Chart.yaml", content: new TextEncoder().encode(text) },
    ...files.filter(({ name }) => name.startsWith("templates/")),
  ];
}
