import { setFlagsFromString } from "node:v8";

// V8 lets the space for new objects grow to 64 MB and more, and empties it while all else waits, with threads of its own that wait for a
// core: 50 to 110 ms when most of it lives on, as on the morning when ten thousand devices, or stores, come back. At the size it has at
// the start, and in this thread, that is 2 to 10 ms, and the process is some tens of MB smaller. So the program is loaded behind it: by
// then the space would have grown.
const [, , command = ""] = process.argv;
if (["server", "agent", "mqtt", "hub"].includes(command)) {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--no-parallel-scavenge");
}

/** The one entry of the program: its command line. */
void import("./command-line.ts").then(({ runCommandLine }) => runCommandLine());
