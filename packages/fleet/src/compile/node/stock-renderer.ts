import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, sep } from "node:path";
import { makeProcessFolder } from "@cortado/std/node/process-folder";
import { StatusError } from "@cortado/std/status";
import { jsonText } from "@cortado/wire/json";
import { RENDER_BYTES_MAX, RENDER_MS_MAX, RENDER_SPACE_KIB } from "../../limits.ts";
import type { BundleFile } from "../bundle.ts";
import type { Renderer } from "../render/renderer.ts";

/** How folders begin in which helm and kubectl run. */
export const RENDER_FOLDER = "cortado-render-";

export type StockRendererOptions = {
  /** Path of Helm 3 or 4. */
  readonly helm: string;
  /** Path of kubectl, for its kustomize. */
  readonly kubectl: string;
  /** Where a folder for each run is made, and taken away after it; absent: the machine's own place for such. */
  readonly folder?: string;
  /** What charts see as the version of Kubernetes, as `1.35.0`; absent: Helm's own. */
  readonly kubeVersion?: string;
  /** How long one run may take; absent: RENDER_MS_MAX. */
  readonly msMax?: number;
  /** What one run may say; absent: RENDER_BYTES_MAX. */
  readonly bytesMax?: number;
};

/**
 * Renders by the real programs, each run in a fresh folder with nothing of this process' environment, within limits of time, output and
 * memory. Proxies lead nowhere: what would be fetched fails.
 */
export function newStockRenderer(options: StockRendererOptions): Renderer {
  return {
    helmTemplate: (files, { release, namespace, chartDir, values, skipSchemaValidation, signal }) =>
      inFolder(options, files, async (folder) => {
        const path = join(folder, "values.json");
        await writeFile(path, jsonText(values));
        const words = ["template", release, join(folder, "files", chartDir), "--namespace", namespace];
        words.push("--values", path, "--include-crds", "--skip-tests");
        if (skipSchemaValidation) words.push("--skip-schema-validation");
        if (options.kubeVersion !== undefined) words.push("--kube-version", options.kubeVersion);
        return runTool({ tool: "helm", program: options.helm, words, folder, signal }, options);
      }),
    kustomize: (files, { dir, signal }) =>
      inFolder(options, files, (folder) => {
        const words = ["kustomize", join(folder, "files", dir)];
        return runTool({ tool: "kubectl", program: options.kubectl, words, folder, signal }, options);
      }),
  };
}

/** Lays the files into a folder of their own, `files`, beside an empty `home`, and takes it all away afterwards. */
export async function inFolder<Result>(
  { folder: parent }: Pick<StockRendererOptions, "folder">,
  files: readonly BundleFile[],
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = await makeProcessFolder(parent ?? tmpdir(), RENDER_FOLDER);
  try {
    const top = join(folder, "files");
    await mkdir(join(folder, "home"));
    await mkdir(top);
    const made = new Set([top]);
    for (const { name, content } of files) {
      const path = join(top, name);
      if (!path.startsWith(top + sep))
        throw new StatusError("BadRequest", `${name} lies outside of the bundle`);
      if (!made.has(dirname(path))) await mkdir(dirname(path), { recursive: true });
      made.add(dirname(path));
      await writeFile(path, content);
    }
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Running = {
  readonly tool: "helm" | "kubectl";
  readonly program: string;
  readonly words: readonly string[];
  readonly folder: string;
  readonly signal: AbortSignal | undefined;
  /** In place of a way that leads nowhere. */
  readonly environment?: Readonly<Record<string, string>>;
};

const remedies = {
  helm: "install Helm 3 or 4 (https://helm.sh) and give its path",
  kubectl: "install kubectl (https://kubernetes.io/docs/tasks/tools) and give its path",
} as const;

/** Runs helm or kubectl within limits. @throws StatusError with what it said */
export async function runTool(
  { tool, program, words, folder, signal, environment: more = {} }: Running,
  options: Pick<StockRendererOptions, "msMax" | "bytesMax">,
): Promise<string> {
  try {
    await access(program, constants.X_OK);
  } catch (cause) {
    throw new StatusError("ServiceUnavailable", `there is no ${tool} at ${program}; ${remedies[tool]}`, {
      cause,
    });
  }
  const [msMax, bytesMax] = [options.msMax ?? RENDER_MS_MAX, options.bytesMax ?? RENDER_BYTES_MAX];
  const limits = {
    cwd: folder,
    env: { ...environment(folder), ...more },
    timeout: msMax,
    maxBuffer: bytesMax,
  };
  // The shell sets the limit and then is the program: what ends it at the limit ends the program.
  const script = `ulimit -v ${RENDER_SPACE_KIB} && exec "$0" "$@"`;
  return new Promise((resolve, reject) => {
    const end = (): void => void child.kill("SIGKILL");
    const child = execFile(
      "/bin/sh",
      ["-c", script, program, ...words],
      { ...limits, killSignal: "SIGKILL" },
      (error, out, said) => {
        signal?.removeEventListener("abort", end);
        if (error === null) return resolve(out);
        if (signal?.aborted === true) return reject(signal.reason);
        if (error.code === ("ERR_CHILD_PROCESS_STDIO_MAXBUFFER" as unknown))
          return reject(new StatusError("RequestEntityTooLarge", `${tool} says more than ${bytesMax} bytes`));
        if (error.killed === true)
          return reject(new StatusError("Timeout", `${tool} takes longer than ${msMax} ms; it was ended`));
        const message = said
          .replaceAll(`${join(folder, "files")}/`, "")
          .replaceAll(folder, "")
          .trim();
        const told = message === "" ? `it ended with ${error.code ?? error.signal ?? "an error"}` : message;
        return reject(new StatusError("Invalid", `${tool}: ${told.slice(0, 2_000)}`, { cause: error }));
      },
    );
    signal?.addEventListener("abort", end, { once: true });
    if (signal?.aborted === true) end();
  });
}

function environment(folder: string): Record<string, string> {
  const home = join(folder, "home");
  const nowhere = "http://127.0.0.1:9";
  return {
    PATH: "/usr/bin:/bin",
    HOME: home,
    TMPDIR: home,
    HELM_CACHE_HOME: home,
    HELM_CONFIG_HOME: home,
    HELM_DATA_HOME: home,
    HELM_PLUGINS: home,
    KUBECONFIG: join(home, "none"),
    HTTP_PROXY: nowhere,
    HTTPS_PROXY: nowhere,
    GIT_TERMINAL_PROMPT: "0",
    LANG: "C.UTF-8",
  };
}
