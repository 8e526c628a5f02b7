import { createHash } from "node:crypto";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CliRoles } from "@cortado/cli";
import { askDemo } from "@cortado/demo/control";
import { jsonLog } from "@cortado/std/log";
import { systemClock } from "@cortado/std/node/clock";
import { StatusError } from "@cortado/std/status";
import { serverSettings, settingNames } from "./config/server-config.ts";
import { startFleetAgent } from "./roles/fleet-agent.ts";
import { fleetRoles } from "./roles/fleet.ts";
import { runDemoHere, socketsRoot } from "./roles/demo.ts";
import { startHubServer } from "./roles/hub.ts";
import { importMosquitto, startMqttBroker } from "./roles/mqtt.ts";
import { readServerConfig, startServer } from "./roles/server.ts";
import { version } from "./version.ts";

/** What the command line can start. */
export const roles: CliRoles = {
  version: `cortado ${version}`,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  serverSettings: settingNames.map((name) => {
    const { help, kind, fallback } = serverSettings[name];
    return {
      name,
      help,
      takes: kind === "flag" ? "nothing" : kind === "list" || kind === "pairs" ? "many" : "one",
      ...(fallback === undefined ? {} : { fallback }),
    };
  }),
  async runServer(words) {
    const config = readServerConfig(words as Parameters<typeof readServerConfig>[0]);
    await using server = await startServer(config);
    void server;
    await stopSignal();
  },
  async runHub(words) {
    await using hub = await startHubServer(words);
    void hub;
    await stopSignal();
  },
  async runMqtt(words) {
    await using broker = await startMqttBroker(words);
    void broker;
    if (words.check) process.stdout.write(`${words.config} can be started with\n`);
    else await stopSignal();
  },
  importMosquitto: (file) => importMosquitto(file, (text) => void process.stderr.write(text)),
  writeFile: (path, text) => writeFile(path, text, { mode: 0o600 }),
  runDemo: runDemoHere,
  async askDemo(folder, action, store) {
    const id = await demoId(resolve(folder));
    await askDemo(join(socketsRoot, `cortado-${id}`, "control.sock"), action, store);
  },
  ...fleetRoles,
  demoFolder: resolve(".cortado"),
  async readToken(dataDir) {
    const secret = await readOrExplain(join(dataDir, "server", "token"), dataDir);
    const authority = await readOrExplain(join(dataDir, "server", "tls", "server-ca.crt"), dataDir);
    return `K10${createHash("sha256").update(authority).digest("hex")}::server:${secret.trim()}`;
  },
  async runFleetAgent(words) {
    const write = (line: string): void => void process.stderr.write(`${line}\n`);
    await using agent = await startFleetAgent(words, jsonLog({ level: "info", clock: systemClock, write }));
    void agent;
    await stopSignal();
  },
  runKubectl: ({ kubeconfig, words }) => runKubectl(kubeconfig ?? ownKubeconfig(), words),
};

/** Resolves when the process is told to end. */
function stopSignal(): Promise<void> {
  return new Promise((done) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => done());
  });
}

async function readOrExplain(path: string, dataDir: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new StatusError(
      "NotFound",
      `${path} cannot be read; is ${dataDir} the data folder of a server that has run?`,
      { cause },
    );
  }
}

async function demoId(folder: string): Promise<string> {
  try {
    return (JSON.parse(await readFile(join(folder, "state.json"), "utf8")) as { id: string }).id;
  } catch (cause) {
    throw new StatusError("NotFound", `no demo has run in ${folder}; start one with npm start`, { cause });
  }
}

function ownKubeconfig(): string | undefined {
  return ["/etc/cortado/cortado.yaml"].find((path) => existsSync(path));
}

function runKubectl(kubeconfig: string | undefined, words: readonly string[]): Promise<void> {
  const env = { ...process.env, ...(kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig }) };
  return new Promise((done, failed) => {
    const child = spawn("kubectl", words, { stdio: "inherit", env });
    child.once("error", (cause) => {
      const how = "get it from https://kubernetes.io/docs/tasks/tools and put it on PATH";
      failed(new StatusError("NotFound", `there is no kubectl on PATH; ${how}`, { cause }));
    });
    child.once("exit", (code) => {
      process.exitCode = code ?? 1;
      done();
    });
  });
}
