// Asks an API server again and again, in a thread that nothing else holds up, and tells how long each answer took.
import { Agent, request } from "node:https";
import { parentPort, workerData } from "node:worker_threads";
import { setTimeout as sleep } from "node:timers/promises";

export type LatencyWork = {
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly everyMs: number;
};

const { server, ca, cert, key, everyMs } = workerData as LatencyWork;
const agent = new Agent({ keepAlive: true, ca, cert, key });
const tookMs: number[] = [];
let isOver = false;
parentPort?.once("message", () => {
  isOver = true;
});

const ask = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const startMs = performance.now();
    const asked = request(`${server}/api/v1/namespaces/default`, { agent }, (answer) => {
      answer.resume();
      answer.once("end", () => resolve(answer.statusCode === 200 ? performance.now() - startMs : Infinity));
    });
    asked.once("error", reject);
    asked.end();
  });

// The first answers hold the handshake and what is compiled.
for (let times = 0; times < 20; times += 1) await ask();
parentPort?.postMessage("ready");
while (!isOver) {
  tookMs.push(await ask().catch(() => Infinity));
  await sleep(everyMs);
}
agent.destroy();
parentPort?.postMessage(tookMs);
