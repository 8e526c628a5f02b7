// Our broker alone in a process, for the benchmarks: FOLDER [SYNC_MS]. Prints its port, and for each line that it is told what its heap has. With FOLDER "-" it is an empty process of ours.
import { newMetrics } from "@cortado/std/metrics";
import type { Files } from "@cortado/std/files";
import { systemClock } from "@cortado/std/node/clock";
import { systemFiles } from "@cortado/std/node/files";
import { systemNetwork } from "@cortado/std/node/net";
import { systemRandom } from "@cortado/std/node/random";
import { silentLog } from "@cortado/std/testing/silent-log";
import { startBroker } from "@cortado/mqtt";

const [folder = "-", syncMs = "0"] = process.argv.slice(2);

/** A disk that takes longer for each sync, as flash does. */
function slowFiles(delayMs: number): Files {
  if (delayMs === 0) return systemFiles;
  return {
    ...systemFiles,
    async openAppend(path) {
      const file = await systemFiles.openAppend(path);
      const sync = async (): Promise<void> => {
        await file.sync();
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      };
      return new Proxy(file, {
        get: (of, name) => {
          if (name === "sync") return sync;
          const value: unknown = Reflect.get(of, name, of);
          return typeof value === "function" ? (value as () => unknown).bind(of) : value;
        },
      });
    },
  };
}

if (folder === "-") setInterval(() => undefined, 1_000);
else {
  const broker = await startBroker({
    files: slowFiles(Number(syncMs)),
    folder,
    network: systemNetwork,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    metrics: newMetrics(),
  });
  const listening = await broker.listen({ host: "127.0.0.1", port: 0 });
  console.log("port" in listening.address ? listening.address.port : 0);
  process.stdin.on("data", () => {
    global.gc?.();
    console.log(process.memoryUsage().heapUsed);
  });
}
