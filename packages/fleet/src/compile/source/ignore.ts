import { globMatches } from "./glob.ts";

/** What the .fleetignore files of a bundle say (fleet.md 2.4). */
export type Ignores = {
  /** Is a file or folder, by its path below the bundle, left out? */
  readonly ignores: (path: string, isFolder: boolean) => boolean;
};

/** Patterns of one .fleetignore; the folder is that of the file, "" for the bundle's own. */
export type IgnoreFile = { readonly folder: string; readonly patterns: readonly string[] };

/** Reads a .fleetignore: one pattern a line, `#` begins a comment, blanks at the end go unless a backslash stands before them. */
export function readIgnoreFile(text: string): {
  readonly patterns: readonly string[];
  readonly warnings: readonly { readonly line: number; readonly message: string }[];
} {
  const patterns: string[] = [];
  const warnings: { line: number; message: string }[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const pattern = trimEnd(raw);
    if (pattern === "" || pattern.startsWith("#")) continue;
    const message = neverMatches(pattern);
    if (message !== undefined) warnings.push({ line: index + 1, message });
    globMatches(pattern, "");
    patterns.push(pattern);
  }
  return { patterns, warnings };
}

function trimEnd(line: string): string {
  const trimmed = line.replace(/[ \t]+$/, "");
  return trimmed.endsWith("\\") && trimmed !== line ? `${trimmed} ` : trimmed;
}

function neverMatches(pattern: string): string | undefined {
  if (pattern.startsWith("!"))
    return `${pattern}: there is no negation in .fleetignore; name what is to be left out`;
  if (pattern.includes("**"))
    return `${pattern}: ** means no more than * here; patterns are of a name, not of a path`;
  const isFolderForm = /^[^/]+\/\*$/.test(pattern);
  if (pattern.includes("/") && !isFolderForm)
    return `${pattern}: patterns are of a name, not of a path, so this one matches nothing; put a .fleetignore into that folder`;
  return undefined;
}

export function newIgnores(files: readonly IgnoreFile[]): Ignores {
  const ignoresOne = (path: string, isFolder: boolean): boolean => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    return files.some(
      ({ folder, patterns }) =>
        (folder === "" || path.startsWith(`${folder}/`)) &&
        patterns.some((pattern) => {
          if (/^[^/]+\/\*$/.test(pattern)) return isFolder && pattern.slice(0, -2) === name;
          return globMatches(pattern, name);
        }),
    );
  };
  const folders = new Map<string, boolean>();
  const ignoresFolder = (path: string): boolean => {
    const known = folders.get(path);
    if (known !== undefined) return known;
    const above = path.includes("/") && ignoresFolder(path.slice(0, path.lastIndexOf("/")));
    const answer = above || ignoresOne(path, true);
    folders.set(path, answer);
    return answer;
  };
  return {
    ignores: (path, isFolder) => {
      if (files.length === 0) return false;
      if (isFolder) return ignoresFolder(path);
      const slash = path.lastIndexOf("/");
      return (slash > 0 && ignoresFolder(path.slice(0, slash))) || ignoresOne(path, false);
    },
  };
}
