import { messageOf } from "@cortado/std/status";
import type { CompileProblem } from "../bundle.ts";
import { globMatches } from "./glob.ts";
import type { Source } from "./source.ts";

/** A directory that is a bundle. */
export type Root = {
  /** "" is the repository's root. */
  readonly path: string;
  /** Path of its fleet.yaml, or of the options file of an explicit scan; undefined: it has none. */
  readonly settings: string | undefined;
  /** As spec.bundles names it: part of the bundle's name. */
  readonly optionsFile: string | undefined;
};

export type Discovered = { readonly roots: readonly Root[]; readonly problems: readonly CompileProblem[] };

export type Scan = {
  readonly paths: readonly string[];
  readonly bundles: readonly { readonly base: string; readonly options?: string }[];
};

/** Finds the bundles of a repository (fleet.md 2.4). What names nothing is a problem, not silence. */
export function discover(source: Source, { paths, bundles }: Scan): Discovered {
  const roots = new Map<string, Root>();
  const problems: CompileProblem[] = [];
  const problem = (message: string): void =>
    void problems.push({ path: undefined, bundle: undefined, message });
  for (const { base, options } of bundles) {
    const path = cleanPath(base);
    const settings = options === undefined ? fleetYamlOf(source, path) : join(path, cleanPath(options));
    if (!source.folders.has(path))
      problem(
        `spec.bundles: there is no directory ${JSON.stringify(base)}; correct base, or remove the entry`,
      );
    else if (options !== undefined && source.file(settings ?? "") === undefined)
      problem(
        `spec.bundles: ${settings} is not in the repository; options is relative to base ${JSON.stringify(base)}`,
      );
    else roots.set(`${path}\0${options ?? ""}`, { path, settings, optionsFile: options });
  }
  const patterns = paths.length === 0 && bundles.length === 0 ? [""] : paths;
  for (const pattern of patterns) {
    try {
      const found = rootsOf(source, pattern);
      for (const root of found) roots.set(`${root.path}\0`, root);
      if (found.length === 0) problem(nothingFound(source, pattern));
    } catch (error) {
      problem(`spec.paths: ${messageOf(error)}`);
    }
  }
  return { roots: [...roots.values()].toSorted((one, other) => (one.path < other.path ? -1 : 1)), problems };
}

function rootsOf(source: Source, pattern: string): readonly Root[] {
  const wanted = cleanPath(pattern);
  const starts = [...source.folders].filter(
    (folder) => !isGit(folder) && (folder === wanted || globMatches(wanted, folder)),
  );
  const roots = new Map<string, Root>();
  for (const start of starts) {
    for (const { path } of source.below(start)) {
      const folder = folderOf(path);
      const name = path.slice(folder === "" ? 0 : folder.length + 1);
      if (!isFleetYaml(name) || isGit(folder) || roots.has(folder)) continue;
      roots.set(folder, { path: folder, settings: fleetYamlOf(source, folder), optionsFile: undefined });
    }
    if (!roots.has(start) && hasOwnYaml(source, start))
      roots.set(start, { path: start, settings: undefined, optionsFile: undefined });
  }
  return [...roots.values()];
}

/** A directory without a fleet.yaml is a bundle when YAML lies in it, or below it where no other bundle begins. */
function hasOwnYaml(source: Source, start: string): boolean {
  return source.below(start).some(({ path }) => {
    if (!/\.ya?ml$/.test(path) || isGit(path)) return false;
    for (let folder = folderOf(path); folder.length > start.length; folder = folderOf(folder))
      if (fleetYamlOf(source, folder) !== undefined) return false;
    return true;
  });
}

function nothingFound(source: Source, pattern: string): string {
  const wanted = cleanPath(pattern);
  const where = pattern === "" ? "the repository's root" : `spec.paths: ${JSON.stringify(pattern)}`;
  if (source.file(wanted) !== undefined)
    return `${where} is a file; name its directory, ${JSON.stringify(folderOf(wanted) || ".")}`;
  const isThere = [...source.folders].some((folder) => folder === wanted || globMatches(wanted, folder));
  const why = isThere
    ? "has no fleet.yaml and no YAML of its own"
    : "matches no directory of this commit; the name may be misspelt or have changed";
  return `${where} ${why}. What runs of it stays as it is until this is corrected`;
}

/** Nested bundles of a directory: they are bundles of their own. */
export function nestedRoots(source: Source, root: string): readonly string[] {
  const nested = new Set<string>();
  for (const { path } of source.below(root)) {
    const folder = folderOf(path);
    if (folder !== root && isFleetYaml(path.slice(folder.length + 1))) nested.add(folder);
  }
  return [...nested];
}

function fleetYamlOf(source: Source, folder: string): string | undefined {
  return ["fleet.yaml", "fleet.yml"]
    .map((name) => join(folder, name))
    .find((path) => source.file(path) !== undefined);
}

export function isFleetYaml(name: string): boolean {
  return name === "fleet.yaml" || name === "fleet.yml";
}

function isGit(path: string): boolean {
  return path === ".git" || path.startsWith(".git/") || path.includes("/.git/") || path.endsWith("/.git");
}

export function join(folder: string, name: string): string {
  return folder === "" ? name : name === "" ? folder : `${folder}/${name}`;
}

export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** A path without slashes at its ends, `.` and what `..` undoes; one that leaves the repository keeps its `..`. */
export function cleanPath(path: string): string {
  const steps: string[] = [];
  for (const step of path.split("/")) {
    if (step === "" || step === ".") continue;
    if (step === ".." && steps.length > 0 && steps.at(-1) !== "..") steps.pop();
    else steps.push(step);
  }
  return steps.join("/");
}
