import { parentPort, workerData } from "node:worker_threads";
import { serveCommits } from "@cortado/store/sqlite-committer";
import { serveEventWriter } from "@cortado/telemetry/central/writer-thread";

type ThreadData = { readonly role?: string; readonly path?: string };

/** The entry of a thread that waits for the disk in place of the event loop; a bundle of its own, as the whole program would be 20 MB there. */
const { role, path = "" } = workerData as ThreadData;
if (parentPort !== null && role === "store-committer") serveCommits(parentPort, path);
if (parentPort !== null && role === "event-writer") serveEventWriter(parentPort, path);
