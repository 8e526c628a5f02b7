import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { jsonText } from "@cortado/wire/json";
import { readTar } from "@cortado/wire/tar";
import { StatusError } from "@cortado/std/status";
import { BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX } from "../../limits.ts";
import type { BundleFile } from "../bundle.ts";
import type { ChartLogin, ChartLogins } from "../../git/chart-login.ts";
import type { ChartFetcher, ChartWish } from "../charts/charts.ts";
import { inFolder, runTool, type StockRendererOptions } from "./stock-renderer.ts";

export type StockChartsOptions = Pick<StockRendererOptions, "helm" | "folder"> & {
  readonly loginFor?: ChartLogins;
  /** Of this process: the proxies on the way out. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Charts that were brought before, so that one commit gives the same chart again. */
  readonly cache?: {
    read(wish: string): Promise<Uint8Array | undefined>;
    write(wish: string, archive: Uint8Array): Promise<void>;
  };
  readonly signal: AbortSignal;
};

const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

/** Charts by the real helm. Passwords go into files that only helm's own folder has, never into its command line. */
export function newStockCharts(options: StockChartsOptions): ChartFetcher {
  const way = Object.fromEntries(proxies.map((name) => [name, options.environment[name] ?? ""]));
  const helm = (folder: string, words: readonly string[]): Promise<string> =>
    runTool(
      { tool: "helm", program: options.helm, words, folder, signal: options.signal, environment: way },
      {},
    );
  return {
    async pull(wish, { path }) {
      const address = (wish.repo ?? "") === "" ? wish.chart : (wish.repo ?? "");
      const login = options.loginFor?.({ address, path });
      // What somebody fetched for one path is not given to another that has another login, or none.
      const name = jsonText({ ...wish, ...(login === undefined ? {} : { as: login.username }) });
      const known = await options.cache?.read(name);
      if (known !== undefined) return chartFiles(known, tell(wish));
      const archive = await inFolder(options, [], (folder) => pull(wish, { folder, address, login, helm }));
      const files = chartFiles(archive, tell(wish));
      await options.cache?.write(name, archive);
      return files;
    },
    dependencies: (files, chartDir) =>
      inFolder(options, files, async (folder) => {
        const chart = join(folder, "files", chartDir);
        const isLocked = files.some(
          ({ name }) => name === (chartDir === "" ? "" : `${chartDir}/`) + "Chart.lock",
        );
        await helm(folder, ["dependency", isLocked ? "build" : "update", chart]).catch((error: unknown) => {
          const where = chartDir === "" ? "the chart" : `chart ${chartDir}`;
          throw failed(`the dependencies of ${where} cannot be fetched`, error);
        });
        const brought = join(chart, "charts");
        const names = await readdir(brought).catch(() => [] as string[]);
        const added: BundleFile[] = [];
        for (const name of names.filter((one) => one.endsWith(".tgz"))) {
          const path = `${chartDir === "" ? "" : `${chartDir}/`}charts/${name}`;
          if (files.some((one) => one.name === path)) continue;
          added.push({ name: path, content: await readFile(join(brought, name)) });
        }
        return added;
      }),
  };
}

function tell({ chart, repo, version }: ChartWish): string {
  return `chart ${[chart, version].filter(Boolean).join(" ")}${repo === undefined ? "" : ` of ${repo}`}`;
}

type Pulling = {
  readonly folder: string;
  readonly address: string;
  readonly login: ChartLogin | undefined;
  readonly helm: (folder: string, words: readonly string[]) => Promise<string>;
};

async function pull(wish: ChartWish, { folder, address, login, helm }: Pulling): Promise<Uint8Array> {
  const { chart, repo = "", version } = wish;
  const home = join(folder, "home");
  const into = join(folder, "pulled");
  await mkdir(into);
  const words = ["--destination", into, ...(version === undefined ? [] : ["--version", version])];
  const authority = join(home, "authority.pem");
  if (login?.authority !== undefined) await writeFile(authority, login.authority);
  if (login?.authority !== undefined) words.push("--ca-file", authority);
  if (login?.insecureSkipTlsVerify === true) words.push("--insecure-skip-tls-verify");
  try {
    if (address.startsWith("oci://")) {
      if (login !== undefined) await writeRegistryLogin(home, address, login);
      const whole = repo === "" || chart === "" ? address : `${address.replace(/\/$/, "")}/${chart}`;
      await helm(folder, ["pull", whole, ...words, ...(login?.isPlainHttp === true ? ["--plain-http"] : [])]);
    } else if (repo === "") {
      if ((login?.username ?? "") !== "")
        throw new StatusError(
          "Invalid",
          "a login is not sent to the URL of an archive; name helm.repo and helm.chart instead",
        );
      await helm(folder, ["pull", chart, ...words]);
    } else if (login === undefined) await helm(folder, ["pull", chart, "--repo", repo, ...words]);
    else {
      const repository = {
        name: "here",
        url: repo,
        username: login.username,
        password: login.password,
        caFile: login.authority === undefined ? "" : authority,
        insecure_skip_tls_verify: login.insecureSkipTlsVerify === true,
      };
      const file = { apiVersion: "", generated: "2020-01-01T00:00:00Z", repositories: [repository] };
      await writeFile(join(home, "repositories.yaml"), jsonText(file), { mode: 0o600 });
      await helm(folder, ["repo", "update", "here"]);
      await helm(folder, ["pull", `here/${chart}`, ...words]);
    }
  } catch (error) {
    throw failed(`${tell(wish)} cannot be fetched`, error);
  }
  const [archive] = (await readdir(into)).filter((name) => name.endsWith(".tgz"));
  if (archive === undefined) throw new StatusError("Invalid", `helm brought no archive for ${tell(wish)}`);
  return await readFile(join(into, archive));
}

async function writeRegistryLogin(home: string, address: string, login: ChartLogin): Promise<void> {
  if (login.username === "") return;
  const auth = Buffer.from(`${login.username}:${login.password}`).toString("base64");
  const host = new URL(address.replace(/^oci:/, "https:")).host;
  await mkdir(join(home, "registry"), { recursive: true });
  const path = join(home, "registry", "config.json");
  await writeFile(path, jsonText({ auths: { [host]: { auth } } }), { mode: 0o600 });
}

function failed(what: string, error: unknown): StatusError {
  const why = error instanceof StatusError ? error.message : String(error);
  return new StatusError("Invalid", `${what}: ${why}; what runs is left as it is`, { cause: error });
}

/** Files of an archive without the chart's own folder. @throws StatusError "Invalid" for one that climbs out, or is too large */
function chartFiles(archive: Uint8Array, what: string): readonly BundleFile[] {
  const files: BundleFile[] = [];
  try {
    for (const { name, typeFlag, data } of readTar(
      gunzipSync(archive, { maxOutputLength: BUNDLE_BYTES_MAX }),
    )) {
      if (typeFlag !== "0" && typeFlag !== "\0") continue;
      const inside = name.split("/").slice(1).join("/");
      if (inside === "") continue;
      files.push({ name: inside, content: data.slice() });
      if (files.length > BUNDLE_FILES_MAX)
        throw new StatusError("Invalid", `it has more than ${BUNDLE_FILES_MAX} files`);
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new StatusError("Invalid", `the archive of ${what} cannot be used: ${why}`, { cause });
  }
  if (files.some((one) => one.name === "Chart.yaml")) return files;
  throw new StatusError("Invalid", `the archive of ${what} has no Chart.yaml in its folder`);
}
