import { runCli } from "@cortado/cli";
import { serveCommits } from "@cortado/store/sqlite-committer";
import { serveEventWriter } from "@cortado/telemetry/central/writer-thread";
import { setFlagsFromString } from "node:v8";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { roles } from "./roles.ts";

type ThreadData = { readonly role?: string; readonly path?: string };

// V8 lets the space for new objects grow to 32 MB and more, and empties it while all else waits, with threads of its own that wait for a
// core: 25 to 60 ms when most of it lives on, as on the morning when ten thousand devices come back. At the size it has at the start, and
// in this thread, that is 2 to 10 ms, and the process is some tens of MB smaller.
if (process.argv[2] === "server" || process.argv[2] === "mqtt") {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--no-parallel-scavenge");
}

/** The one entry of the bundle: the command line, or a thread that waits for the disk in place of the event loop. */
if (isMainThread) void runCli(process.argv.slice(2), roles).then((code) => (process.exitCode = code));
else if (parentPort !== null) {
  const { role, path = "" } = workerData as ThreadData;
  if (role === "store-committer") serveCommits(parentPort, path);
  if (role === "event-writer") serveEventWriter(parentPort, path);
}
