import { growHeapBy, holdNewSpace } from "./heap.ts";

// V8 lets the space for new objects grow to 64 MB and more, and empties it while all else waits, with threads of its own that wait for a
// core: 50 to 110 ms when most of it lives on, as on the morning when ten thousand devices, or stores, come back. At the size it has at
// the start, and in this thread, that is 2 to 10 ms, and the process is some tens of MB smaller. A hub has four times that: with less, what
// a call of a store needs lives on into the old space, and to clear that costs more than the calls. So the program is loaded behind it:
// by then the space would have grown.
const mebibytes: Readonly<Record<string, number>> = { server: 1, agent: 1, mqtt: 1, hub: 4 };
const [, , command = ""] = process.argv;
const held = mebibytes[command];
if (held !== undefined) holdNewSpace(held);
if (command === "hub") growHeapBy(50);

/** The one entry of the program: its command line. */
void import("./command-line.ts").then(({ runCommandLine }) => runCommandLine());
