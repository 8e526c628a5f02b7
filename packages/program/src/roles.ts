import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CliRoles } from "@cortado/cli";
import type { CommandSetting } from "@cortado/cli/settings";
import { askDemo } from "@cortado/demo/control";
import { jsonLog } from "@cortado/std/log";
import { systemClock } from "@cortado/std/node/clock";
import { StatusError } from "@cortado/std/status";
import {
  agentSettingNames,
  agentSettings,
  idleAgentFlags,
  refusedAgentFlags,
} from "./config/agent-config.ts";
import { serverSettings, settingNames } from "./config/server-config.ts";
import type { Setting } from "./config/settings.ts";
import { readAgentConfig, startAgentNode } from "./roles/worker/agent.ts";
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
  serverSettings: commandSettings(settingNames, serverSettings),
  agentSettings: commandSettings(agentSettingNames, agentSettings),
  refusedAgentFlags,
  idleAgentFlags,
  async runServer(words) {
    const config = readServerConfig(words as Parameters<typeof readServerConfig>[0]);
    await using server = await startServer(config);
    void server;
    await stopSignal();
  },
  async runAgent(words) {
    const config = readAgentConfig(words);
    const stop = new AbortController();
    const stopped = stopSignal();
    void stopped.then(() => stop.abort(new Error("the agent was told to stop")));
    try {
      await using agent = await startAgentNode(config, stop.signal);
      void agent;
      await stopped;
    } catch (error) {
      if (!stop.signal.aborted) throw error; // it was told to stop while it was joining
    }
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
    return (await readOrExplain(join(dataDir, "server", "token"), dataDir)).trim();
  },
  async runFleetAgent(words) {
    const write = (line: string): void => void process.stderr.write(`${line}\n`);
    await using agent = await startFleetAgent(words, jsonLog({ level: "info", clock: systemClock, write }));
    void agent;
    await stopSignal();
  },
  runKubectl: ({ kubeconfig, words }) => runKubectl(kubeconfig ?? ownKubeconfig(), words),
};

function commandSettings<Name extends string>(
  names: readonly Name[],
  settings: Readonly<Record<Name, Setting>>,
): readonly CommandSetting[] {
  return names.map((name) => {
    const { help, kind, fallback } = settings[name];
    const takes = kind === "flag" ? "nothing" : kind === "list" || kind === "pairs" ? "many" : "one";
    return { name, help, takes, ...(fallback === undefined ? {} : { fallback }) };
  });
}

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
