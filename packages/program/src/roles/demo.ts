import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, cp, mkdir, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { runDemo, type HubPlan, type StorePlan } from "@cortado/demo";
import { readState } from "@cortado/demo/state";
import { sweep } from "@cortado/demo/sweep";
import { writeText } from "../standard-output.ts";

/** Short, as a Unix socket's path has at most 108 bytes. */
export const socketsRoot: string = tmpdir();

export type DemoWords = { readonly folder: string; readonly fresh: boolean; readonly simulated: boolean };

/** Runs the demo of this folder in the foreground until Ctrl-C. */
export async function runDemoHere({ folder: given, fresh, simulated }: DemoWords): Promise<void> {
  const folder = resolve(given);
  const script = process.argv[1] as string;
  const bundle = dirname(resolve(script));
  if (fresh) await forget(folder);
  const missing = simulated ? "it was asked for" : whatIsMissing();
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  const line = newStatusLine();
  await runDemo({
    folder,
    socketsRoot,
    runtime: missing === undefined ? "containerd" : "simulated",
    ...(missing === undefined ? {} : { because: missing }),
    stores: ["store-042", "store-104"],
    serverCommand: (plan, token) => [
      ...[process.execPath, ...nodeFlags, script],
      ...["server", ...serverWords(plan, token)],
    ],
    hubCommand: (plan) => [process.execPath, script, "hub", ...hubWords(plan, bundle)],
    acquirerCommand: ({ host, port }) => [process.execPath, join(bundle, "acquirer.cjs"), host, String(port)],
    furnish: (plan) => furnish(plan, bundle),
    newId: () => randomBytes(3).toString("hex"),
    say: line.say,
    status: line.show,
    signal: stop.signal,
  });
  line.say("Ended; the data stays in .cortado.");
}

/**
 * A small heap is collected often and early: a store has little memory and much time. Source maps stay beside the bundle for people:
 * decoding them costs 50 MB at the first error that is logged.
 */
const nodeFlags = ["--max-semi-space-size=1", "--optimize-for-size"];

function serverWords(plan: StorePlan, token: string): readonly string[] {
  const words: Readonly<Record<string, string>> = {
    "data-dir": plan.dataDir,
    "node-name": plan.name,
    "write-kubeconfig": plan.kubeconfig,
    "kubeconfig-server": plan.apiUrl,
    "local-socket-dir": plan.socketDir,
    "cgroup-root": plan.cgroup,
    runtime: plan.runtime,
    "resolv-conf": "/dev/null",
    "node-label": "location=edge",
    hub: plan.hubUrl,
    "hub-token": token,
    ...(plan.runtime === "simulated" ? { "https-listen-port": "0", "node-ip": "127.0.0.1" } : {}),
  };
  return commandLine(words);
}

function hubWords(plan: HubPlan, bundle: string): readonly string[] {
  const words: Readonly<Record<string, string>> = {
    "data-dir": plan.dataDir,
    "bind-address": plan.listen.address,
    "https-listen-port": String(plan.listen.port),
    url: plan.url,
    "write-kubeconfig": plan.kubeconfig,
    "kubeconfig-server": plan.apiUrl,
    "local-socket-dir": plan.socketDir,
    "seed-repository": join(bundle, "repository"),
    // Images are on this machine: what is not ready in a minute never will be.
    "wave-deadline": "60",
    ...Object.fromEntries(
      ["helm", "kubectl"]
        .map((name) => [name, join(bundle, "bin", name)] as const)
        .filter(([, path]) => existsSync(path)),
    ),
  };
  return commandLine(words);
}

function commandLine(words: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(words).flatMap(([name, value]) => [`--${name}`, value]);
}

/** Puts the shop's images and manifests where the store looks for them; what is there and the same is left alone. */
async function furnish(plan: StorePlan, bundle: string): Promise<void> {
  const images = join(plan.dataDir, "agent", "images");
  const manifests = join(plan.dataDir, "server", "manifests");
  await mkdir(images, { recursive: true });
  await mkdir(manifests, { recursive: true });
  if (plan.runtime === "containerd") await copyNew(join(bundle, "images"), images);
  await cp(join(bundle, "manifests"), manifests, { recursive: true, preserveTimestamps: true });
}

async function copyNew(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    const [source, target] = [
      await stat(join(from, name)),
      await stat(join(to, name)).catch(() => undefined),
    ];
    if (target?.size === source.size && target.mtimeMs >= source.mtimeMs) continue;
    await copyFile(join(from, name), join(to, name));
  }
}

async function forget(folder: string): Promise<void> {
  const state = await readState(folder).catch(() => undefined);
  if (state !== undefined) await sweep({ folder, socketsRoot }, state);
  for (const name of ["stores", "hub", "logs", "state.json", "demo.json"])
    await rm(join(folder, name), { recursive: true, force: true });
}

/** Why containers cannot run here; undefined when they can. */
function whatIsMissing(): string | undefined {
  if (process.platform !== "linux") return "this is not Linux";
  if (process.getuid?.() !== 0) return "this is not root";
  for (const program of ["containerd", "runc", "ip", "nft", "nsenter"])
    if (!isOnPath(program)) return `there is no ${program}`;
  if (!["/usr/lib/cni", "/opt/cni/bin"].some((folder) => existsSync(join(folder, "bridge"))))
    return "there are no CNI plugins";
  return undefined;
}

function isOnPath(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], {
      stdio: "ignore",
      env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
    });
    return true;
  } catch {
    return false;
  }
}

/** One line that is kept up to date on a terminal; elsewhere it is said when it changes. */
function newStatusLine(): { readonly say: (line: string) => void; readonly show: (line: string) => void } {
  const isTerminal = process.stdout.isTTY;
  const write = (text: string): void => writeText(1, text);
  let shown = "";
  return {
    say(line) {
      if (isTerminal && shown !== "") write("\r\u001b[K");
      write(`${line}\n`);
      if (isTerminal && shown !== "") write(shown);
    },
    show(line) {
      if (line === shown) return;
      shown = line;
      write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`);
    },
  };
}
