import { runCli } from "@cortado/cli";
import { serveCommits } from "@cortado/store/sqlite-committer";
import { serveEventWriter } from "@cortado/telemetry/central/writer-thread";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { roles } from "./roles.ts";

type ThreadData = { readonly role?: string; readonly path?: string };

/** The one entry of the bundle: the command line, or a thread that waits for the disk in place of the event loop. */
if (isMainThread) void runCli(process.argv.slice(2), roles).then((code) => (process.exitCode = code));
else if (parentPort !== null) {
  const { role, path = "" } = workerData as ThreadData;
  if (role === "store-committer") serveCommits(parentPort, path);
  if (role === "event-writer") serveEventWriter(parentPort, path);
}
