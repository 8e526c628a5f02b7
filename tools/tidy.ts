// Holds the house up: who may import whom, no ambient time or chance, and a ratchet on sizes. Reads house.json; prints each fault.
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseSync } from "oxc-parser";

const top = join(import.meta.dirname, "..");

type Room = {
  readonly floor: number;
  readonly may: readonly string[];
  readonly because?: Readonly<Record<string, string>>;
};
export type House = {
  readonly rooms: Readonly<Record<string, Room>>;
  readonly runtimeFree: readonly string[];
  readonly ambient: { readonly banned: readonly string[]; readonly allowedIn: readonly string[] };
  readonly ratchet: {
    readonly functionLines: number;
    readonly fileLines: number;
    readonly folderFiles: number;
    readonly over: Readonly<Record<string, number>>;
  };
};

export type SourceFile = { readonly path: string; readonly text: string };
export type Fault = { readonly path: string; readonly line: number; readonly text: string };

type Manifest = {
  readonly name: string;
  readonly exports?: Readonly<Record<string, string>>;
  readonly dependencies?: object;
  readonly devDependencies?: object;
};

export function readHouse(): House {
  return JSON.parse(readFileSync(join(top, "house.json"), "utf8")) as House;
}

export function readSources(): readonly SourceFile[] {
  const paths = globSync(
    ["packages/*/src/**/*.ts", "examples/*/src/**/*.ts", "tests/**/*.ts", "tools/**/*.ts"],
    { cwd: top },
  );
  return paths
    .filter((path) => !path.includes("node_modules") && !path.includes("/generated/"))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(top, path), "utf8") }));
}

/** Every fault of these files. */
export function tidy(house: House, files: readonly SourceFile[]): readonly Fault[] {
  const manifests = new Map<string, Manifest>();
  for (const room of Object.keys(house.rooms))
    manifests.set(
      room,
      JSON.parse(readFileSync(join(top, "packages", room, "package.json"), "utf8")) as Manifest,
    );
  const sizes = new Map<string, number>();
  const faults = files.flatMap((file) => [
    ...fileFaults(house, file, manifests),
    ...sizeFaults(house, file, sizes),
  ]);
  return [...faults, ...folderFaults(house, files), ...staleOver(house, sizes)];
}

function roomOf(path: string): string | undefined {
  return /^packages\/([^/]+)\/src\//.exec(path)?.[1];
}

function isTest(path: string): boolean {
  return /\.test\.ts$|\/testing\//.test(path);
}

function fileFaults(house: House, file: SourceFile, manifests: ReadonlyMap<string, Manifest>): Fault[] {
  const { path, text } = file;
  const room = roomOf(path);
  const parsed = parseSync(path, text);
  const faults: Fault[] = parsed.errors.map((error) => ({ path, line: 1, text: error.message }));
  const at = (offset: number): number => text.slice(0, offset).split("\n").length;
  const { staticImports, staticExports, dynamicImports } = parsed.module;
  const wanted = [
    ...staticImports.map((one) => ({ name: one.moduleRequest.value, line: at(one.start) })),
    ...staticExports
      .flatMap((one) => one.entries)
      .flatMap((one) =>
        one.moduleRequest === null ? [] : [{ name: one.moduleRequest.value, line: at(one.start) }],
      ),
    ...dynamicImports.map((one) => ({
      name: text.slice(one.moduleRequest.start + 1, one.moduleRequest.end - 1),
      line: at(one.start),
    })),
  ];
  for (const { name, line } of wanted) {
    const fault = room === undefined ? undefined : importFault(house, { room, path, name }, manifests);
    if (fault !== undefined) faults.push({ path, line, text: fault });
  }
  if (room !== undefined && !isTest(path)) faults.push(...ambientFaults(house, file));
  for (const [index, line] of text.split("\n").entries())
    if (/\b(TODO|FIXME|XXX)\b/.test(line) && path !== "tools/tidy.ts")
      faults.push({ path, line: index + 1, text: "a note of work left over" });
  return faults;
}

function importFault(
  house: House,
  { room, path, name }: { readonly room: string; readonly path: string; readonly name: string },
  manifests: ReadonlyMap<string, Manifest>,
): string | undefined {
  const manifest = manifests.get(room);
  if (manifest === undefined) return `room ${room} is not in house.json`;
  if (name.startsWith(".")) {
    const target = join(dirname(path), name);
    return roomOf(target) === room || !target.startsWith("packages/")
      ? undefined
      : `${name} goes into another room past its door`;
  }
  if (name.startsWith("node:")) {
    const free = house.runtimeFree.includes(room) && !path.includes("/node/") && !isTest(path);
    return free ? `${room} is free of any runtime; ${name} belongs into a folder named node/` : undefined;
  }
  const declared = { ...manifest.dependencies, ...manifest.devDependencies };
  const parts = name.split("/");
  const packageName = name.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? "");
  const other = /^@cortado\/([^/]+)(\/.*)?$/.exec(name);
  if (packageName !== manifest.name && !Object.hasOwn(declared, packageName) && !isTest(path))
    return `${packageName} is not in ${room}'s package.json`;
  if (other === null) return undefined;
  const [, target = "", door = ""] = other;
  const doors = manifests.get(target)?.exports ?? {};
  if (!Object.hasOwn(doors, `.${door}`)) return `${name} is not a door of ${target}`;
  const { may } = house.rooms[room] as Room;
  const allowed =
    target === room || may.includes("*") || may.includes(target) || may.includes(`${target}${door}`);
  return allowed || isTest(path) ? undefined : `${room} may not import ${target}${door} (house.json)`;
}

function ambientFaults(house: House, { path, text }: SourceFile): Fault[] {
  if (house.ambient.allowedIn.some((folder) => path.startsWith(folder))) return [];
  const faults: Fault[] = [];
  const bare = text
    .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, (comment) => comment.replaceAll(/[^\n]/g, " "))
    .replaceAll(/`[^`]*`|"[^"\n]*"/g, '""');
  for (const word of house.ambient.banned) {
    const pattern = new RegExp(`(?<![.\\w])${word.replace(".", "\\.")}\\b(?=\\s*[(.\\[])`, "g");
    for (const match of bare.matchAll(pattern)) {
      const line = bare.slice(0, match.index).split("\n").length;
      faults.push({ path, line, text: `${word} is ambient: it comes in by a port (STYLE 11)` });
    }
  }
  return faults;
}

type Node = {
  readonly type?: string;
  readonly start?: number;
  readonly end?: number;
  readonly id?: { readonly name?: string } | null;
  readonly key?: { readonly name?: string };
};

function sizeFaults(house: House, { path, text }: SourceFile, sizes: Map<string, number>): Fault[] {
  const { functionLines, fileLines, over } = house.ratchet;
  const faults: Fault[] = [];
  const check = (
    key: string,
    size: number,
    options: { readonly limit: number; readonly line: number; readonly what: string },
  ): void => {
    sizes.set(key, size);
    const most = Math.max(options.limit, over[key] ?? 0);
    if (size > most)
      faults.push({
        path,
        line: options.line,
        text: `${options.what} has ${size} lines; ${most} is the most`,
      });
  };
  const count = text.split("\n").length - 1;
  check(path, count, { limit: isTable(path) ? 600 : fileLines, line: 1, what: "the file" });
  if (isTest(path) || path.startsWith("tests/")) return faults;
  visit(parseSync(path, text).program as unknown as Node, (node) => {
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type ?? "")) return;
    const [start = 0, end = 0] = [node.start, node.end];
    const line = text.slice(0, start).split("\n").length;
    const lines = text.slice(start, end).split("\n").length;
    const name =
      node.id?.name ??
      /(\w+)\s*[=:(]?\s*(async\s*)?$/.exec(text.slice(Math.max(0, start - 60), start))?.[1] ??
      "anonymous";
    if (lines > functionLines)
      check(`${path}#${name}`, lines, { limit: functionLines, line, what: `function ${name}` });
  });
  return faults;
}

// Tables, codecs and kinds may be longer (HOUSE, 1.3).
function isTable(path: string): boolean {
  return /\/(wire|kinds)\/|\.test\.ts$|\/testing\//.test(path);
}

function visit(node: unknown, each: (node: Node) => void): void {
  if (typeof node !== "object" || node === null) return;
  if (Array.isArray(node)) for (const item of node) visit(item, each);
  else {
    each(node as Node);
    for (const [key, value] of Object.entries(node)) if (key !== "parent") visit(value, each);
  }
}

function folderFaults(house: House, files: readonly SourceFile[]): Fault[] {
  const counts = new Map<string, number>();
  for (const { path } of files)
    if (!isTest(path)) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  const most = house.ratchet.folderFiles;
  return [...counts]
    .filter(([, count]) => count > most)
    .map(([path, count]) => ({ path, line: 1, text: `the folder has ${count} files; ${most} is the most` }));
}

/** The list of what is over its limit may only shrink. */
function staleOver(house: House, sizes: ReadonlyMap<string, number>): Fault[] {
  return Object.entries(house.ratchet.over)
    .filter(([key, size]) => (sizes.get(key) ?? 0) < size)
    .map(([key, size]) => ({
      path: "house.json",
      line: 1,
      text: `${key} is listed with ${size} and has ${sizes.get(key) ?? 0} now: lower or drop it`,
    }));
}

if (process.argv[1] === import.meta.filename) {
  const files = readSources();
  const faults = tidy(readHouse(), files);
  for (const { path, line, text } of faults)
    console.log(`${relative(".", join(top, path))}:${line}: ${text}`);
  console.log(`tidy: ${files.length} files, ${faults.length} faults`);
  process.exitCode = faults.length === 0 && files.length > 100 ? 0 : 1;
}
