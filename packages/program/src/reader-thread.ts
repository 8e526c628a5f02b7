import { parentPort } from "node:worker_threads";
import { serveManifests } from "@cortado/fleet/compile/node/manifest-thread";

/** The entry of a thread that reads a long manifest; a bundle of its own, as it is loaded anew for each. */
if (parentPort !== null) serveManifests(parentPort);
