// Makes dist/: the bundle that ships, the shop's services, its images and its manifests.
import { build, type BuildOptions } from "esbuild";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
cpSync(join(shop, "manifests"), join(dist, "manifests"), { recursive: true });
// What the hub's repository begins with; a store without a hub is furnished with the same.
cpSync(join(shop, "repository"), join(dist, "repository"), { recursive: true });
cpSync(join(shop, "repository", "manifests"), join(dist, "manifests"), { recursive: true });
cpSync(join(shop, "repository", "functions", "functions.yaml"), join(dist, "manifests", "functions.yaml"));
buildImages({ services: join(dist, "services"), python: join(shop, "python"), out: join(dist, "images") });

/** Letters beyond ASCII are left only in comments; with one of them V8 would keep the whole source at two bytes a letter. */
function inAscii(path: string): void {
  writeFileSync(path, readFileSync(path, "utf8").replaceAll(/[^\u0000-\u007f]/g, "?"));
}
