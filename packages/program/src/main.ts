import { runCli } from "@cortado/cli";
import { serveCommits } from "@cortado/store/sqlite-committer";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { roles } from "./roles.ts";

/** The one entry of the bundle: the command line, or the thread that commits when the disk is slow. */
if (isMainThread) void runCli(process.argv.slice(2), roles).then((code) => (process.exitCode = code));
else if (parentPort !== null && (workerData as { role?: string }).role === "store-committer")
  serveCommits(parentPort, (workerData as { path: string }).path);
