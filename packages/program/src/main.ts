import { setFlagsFromString } from "node:v8";
import { runCli } from "@cortado/cli";
import { roles } from "./roles.ts";

// V8 lets the space for new objects grow to 32 MB and more, and empties it while all else waits, with threads of its own that wait for a
// core: 25 to 60 ms when most of it lives on, as on the morning when ten thousand devices, or stores, come back. At the size it has at the start, and
// in this thread, that is 2 to 10 ms, and the process is some tens of MB smaller.
const [, , command = ""] = process.argv;
if (["server", "mqtt", "hub"].includes(command)) {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--no-parallel-scavenge");
}

/** The one entry of the program: its command line. */
void runCli(process.argv.slice(2), roles).then((code) => (process.exitCode = code));
