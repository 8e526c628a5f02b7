import { spawn, type ChildProcess } from "node:child_process";
import { createServer } from "node:http";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { newMetrics } from "@cortado/std/metrics";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { makeVerifier, startBroker, type BrokerLimits } from "../mqtt.ts";

/** What a test file does when it is started as the broker that it kills: serves until that happens, and prints its ports. */
export async function serve(folder: string, limits: Partial<BrokerLimits> = {}): Promise<void> {
  const broker = await startBroker({
    files: systemFiles,
    folder,
    network: systemNetwork,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    metrics: newMetrics(),
    limits,
    // For clients that authenticate by SCRAM; others come as they like.
    scramVerifierOf: () => makeVerifier("pencil", { salt: new Uint8Array(16), iterations: 4_096 }),
  });
  const listening = await broker.listen({ host: "127.0.0.1", port: 0 });
  const http = createServer().on("upgrade", broker.upgrade).listen(0, "127.0.0.1");
  await once(http, "listening");
  const web = http.address();
  const line = {
    port: "port" in listening.address ? listening.address.port : 0,
    webPort: typeof web === "object" ? web?.port : 0,
  };
  console.log(JSON.stringify(line));
}

export type Child = AsyncDisposable & {
  readonly port: number;
  readonly webPort: number;
  readonly pid: number;
  kill(): Promise<void>;
};

/** Starts `file`, a test file that calls `serve` when told "broker", as a broker of its own. */
export async function startChild(file: string, folder: string): Promise<Child> {
  const child: ChildProcess = spawn(process.execPath, [file, "broker", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "exit");
  if (child.stdout === null) throw new Error("the child has no output");
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([once(lines, "line"), gone.then(() => ["{}"])])) as [string];
  const { port, webPort } = JSON.parse(line) as { port?: number; webPort?: number };
  if (port === undefined || webPort === undefined)
    throw new Error("the broker child ended before it listened");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
  };
  return { port, webPort, pid: child.pid ?? 0, kill, [Symbol.asyncDispose]: kill };
}
