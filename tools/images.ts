// Builds the project's images with no container tool and no network: layers from this machine's own files.
import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import {
  newLayer,
  pauseImage,
  writeOciTar,
  type Architecture,
  type ImageConfig,
  type Layer,
  type OciImage,
  type TarEntry,
} from "@cortado/wire/oci";

export type ImagesOptions = {
  /** Folder of the bundled services. */
  readonly services: string;
  readonly python: string;
  readonly out: string;
};

const architecture: Architecture = process.arch === "arm64" ? "arm64" : "x64";
const shellWords = [
  "sh",
  "ls",
  "cat",
  "tar",
  "env",
  "ps",
  "id",
  "echo",
  "sleep",
  "wget",
  "nslookup",
  "ping",
  "grep",
  "head",
  "tail",
  "vi",
  "mkdir",
  "rm",
  "cp",
  "df",
  "du",
  "nc",
];

/** Writes 00-pause.tar, which every pod needs first, and coffee-shop.tar with one image per service. */
export function buildImages(options: ImagesOptions): void {
  if (process.platform !== "linux" || !existsSync("/bin/busybox")) {
    console.log("images are not built: this machine has no busybox; only the simulated runtime works here");
    return;
  }
  mkdirSync(options.out, { recursive: true });
  write(join(options.out, "00-pause.tar"), [pauseImage({ name: "cortado.local/pause:1", architecture })]);
  const base = newLayer(baseEntries(), { compression: "zstd" });
  const node = newLayer(programEntries(process.execPath, "usr/local/bin/node"), { compression: "zstd" });
  const nodeService = (name: string): OciImage =>
    image(
      `cortado.local/${name}:1`,
      [base, node, file(join(options.services, `${name}.cjs`), `app/${name}.cjs`)],
      {
        // A till's service needs little memory; a small heap is collected early.
        Entrypoint: [
          "/usr/local/bin/node",
          "--max-semi-space-size=1",
          "--max-old-space-size=64",
          "--optimize-for-size",
          "--v8-pool-size=1",
          `/app/${name}.cjs`,
        ],
      },
    );
  const images = ["order", "payment", "inventory", "machines"].map(nodeService);
  const python = pythonLayer();
  if (python !== undefined)
    images.push(
      image(
        "cortado.local/receipts:1",
        [base, python, file(join(options.python, "receipts.py"), "app/receipts.py")],
        {
          Entrypoint: ["/usr/bin/python3", "-u", "/app/receipts.py"],
        },
      ),
    );
  write(join(options.out, "coffee-shop.tar"), images);
}

function image(name: string, layers: readonly Layer[], config: ImageConfig): OciImage {
  return {
    name,
    layers,
    architecture,
    config: { Env: ["PATH=/usr/local/bin:/usr/bin:/bin"], WorkingDir: "/app", ...config },
  };
}

function file(from: string, to: string): Layer {
  const folders = [{ name: `${dirname(to)}/`, mode: 0o755, type: "folder" as const }];
  return newLayer([...folders, { name: to, mode: 0o644, data: readFileSync(from) }], { compression: "zstd" });
}

/** A shell and a few tools, so that `kubectl exec` and `kubectl cp` find what they expect. */
function baseEntries(): TarEntry[] {
  const text = (name: string, content: string): TarEntry => ({
    name,
    mode: 0o644,
    data: Buffer.from(content),
  });
  return [
    ...["bin/", "etc/", "tmp/", "data/", "usr/", "usr/bin/", "usr/local/", "usr/local/bin/", "app/"].map(
      (name): TarEntry => ({ name, mode: name === "tmp/" ? 0o1777 : 0o755, type: "folder" }),
    ),
    { name: "bin/busybox", mode: 0o755, data: readFileSync("/bin/busybox") },
    ...shellWords.map((word): TarEntry => ({
      name: `bin/${word}`,
      mode: 0o777,
      type: "symlink",
      link: "busybox",
    })),
    text("etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
    text("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    text("etc/nsswitch.conf", "hosts: files dns\n"),
  ];
}

/** A program with the libraries that it is linked to. */
function programEntries(program: string, to: string): TarEntry[] {
  return [{ name: to, mode: 0o755, data: readFileSync(realpathSync(program)) }, ...libraryEntries([program])];
}

function libraryEntries(programs: readonly string[]): TarEntry[] {
  const paths = new Set<string>();
  for (const program of programs) for (const path of linkedLibraries(program)) paths.add(path);
  // Names are resolved when they are looked up, not linked: without these no host name is found.
  for (const name of ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"])
    for (const folder of [`/lib/${triplet()}`])
      if (existsSync(join(folder, name))) paths.add(join(folder, name));
  return [...paths]
    .toSorted()
    .map((path) => ({ name: path.slice(1), mode: 0o755, data: readFileSync(realpathSync(path)) }));
}

function triplet(): string {
  return architecture === "x64" ? "x86_64-linux-gnu" : "aarch64-linux-gnu";
}

function linkedLibraries(program: string): readonly string[] {
  const answer = execFileSync("ldd", [program], { encoding: "utf8" });
  return [...answer.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] as string);
}

/** Debian's own Python, as dpkg lists it; undefined where it is not installed. */
function pythonLayer(): Layer | undefined {
  const real = existsSync("/usr/bin/python3") ? realpathSync("/usr/bin/python3") : undefined;
  if (real === undefined) return undefined;
  const version = basename(real);
  const owned = execFileSync(
    "dpkg",
    ["-L", `${version}-minimal`, `lib${version}-minimal`, `lib${version}-stdlib`],
    { encoding: "utf8" },
  );
  const wanted = owned
    .split("\n")
    .filter(
      (path) =>
        path.startsWith("/usr/lib/") &&
        !/\/(test|tests|idlelib|ensurepip|lib2to3|distutils)(\/|$)/.test(path),
    );
  const entries: TarEntry[] = [];
  const libraries: string[] = [real];
  for (const path of new Set(wanted)) {
    const state = lstatSync(path, { throwIfNoEntry: false });
    if (state?.isSymbolicLink() === true)
      entries.push({ name: path.slice(1), mode: 0o777, type: "symlink", link: readlinkSync(path) });
    else if (state?.isFile() === true) {
      entries.push({ name: path.slice(1), mode: state.mode & 0o7777, data: readFileSync(path) });
      if (
        path.includes("lib-dynload/") &&
        /_(socket|struct|json|posixsubprocess|queue|bisect|heapq|random|ssl|hashlib)\./.test(path)
      )
        libraries.push(path);
    }
  }
  entries.push({ name: "usr/bin/python3", mode: 0o777, type: "symlink", link: version });
  entries.push({ name: `usr/bin/${version}`, mode: 0o755, data: readFileSync(real) });
  return newLayer([...entries, ...libraryEntries(libraries)], { compression: "zstd" });
}

function write(path: string, images: readonly OciImage[]): void {
  const out = openSync(path, "w", 0o644);
  for (const part of writeOciTar(images).parts)
    for (let done = 0; done < part.byteLength;) done += writeSync(out, part, done);
  closeSync(out);
}
