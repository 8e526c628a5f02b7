import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

const MIB = 2 ** 20;
/** Objects that fill a MiB or so. */
const OBJECTS = 20_000;
const ROUNDS_MAX = 100;

/**
 * Sets V8's space for new objects to two halves of so many MiB (a power of two) for good, and lets this thread alone empty it. V8 has a
 * setting for that at its start only; at run time it can be told by how much the space grows, and then to grow no more.
 */
export function holdNewSpace(mebibytes: number): void {
  setFlagsFromString("--no-parallel-scavenge");
  if (mebibytes > 1) growNewSpace(mebibytes);
  setFlagsFromString("--semi-space-growth-factor=1");
}

/** It begins with one, and grows when as much lives on as fits. */
function growNewSpace(mebibytes: number): void {
  setFlagsFromString(`--semi-space-growth-factor=${mebibytes}`);
  for (let round = 0; newSpaceBytes() < 2 * mebibytes * MIB && round < ROUNDS_MAX; round += 1) fill();
}

function newSpaceBytes(): number {
  return getHeapSpaceStatistics().find((one) => one.space_name === "new_space")?.space_size ?? 0;
}

function fill(): readonly object[] {
  return Array.from({ length: OBJECTS }, (_, at) => ({ at, more: [at] }));
}

/**
 * Lets garbage become so many hundredths of what lives before it is looked for. V8 decides that by what it costs this thread, and looks
 * as often as each second while ten thousand connections come in: its helpers then take from the other core what it does not count.
 */
export function growHeapBy(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}
