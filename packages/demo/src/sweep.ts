import { rm } from "node:fs/promises";
import { join } from "node:path";
import { StatusError } from "@cortado/std/status";
import { cgroupOf, type Store } from "./box.ts";
import { removeCgroup } from "./cgroups.ts";
import { childOf, killNow, startTimeOf, waitFor } from "./command.ts";
import { askDemo } from "./control.ts";
import { STOP_MS_MAX } from "./limits.ts";
import type { DemoState } from "./state.ts";
import { removeNamespaces } from "./wan.ts";

/** Removes all of an earlier demo of this folder but its data. @throws StatusError "Conflict" when it still runs */
export async function sweep(
  options: { readonly folder: string; readonly socketsRoot: string },
  state: DemoState,
): Promise<void> {
  const sockets = join(options.socketsRoot, `cortado-${state.id}`);
  const alive = await askDemo(join(sockets, "control.sock"), "ping").then(
    () => true,
    () => false,
  );
  if (alive)
    throw new StatusError("Conflict", `a demo already runs in ${options.folder}; end it with Ctrl-C first`);
  await removeLeftovers(state, sockets);
  await rm(join(options.folder, "demo.json"), { force: true });
}

/** Ends what is recorded, and removes namespaces, cgroups and sockets by the demo's id. */
export async function removeLeftovers(state: DemoState, sockets: string): Promise<void> {
  for (const { pid, startTime } of state.processes) if ((await startTimeOf(pid)) === startTime) killNow(pid);
  await removeNamespaces(state.id);
  const emptied = async (): Promise<true | undefined> => {
    await removeCgroup(cgroupOf(state.id));
    return true;
  };
  // A killed process leaves its cgroup a moment later.
  for (let round = 0; round < 10; round += 1)
    await emptied().then(() => new Promise((resolve) => setTimeout(resolve, 20)));
  await rm(sockets, { recursive: true, force: true });
}

/** Lets it stop by itself, then ends all of it. */
export async function endStore(store: Store): Promise<void> {
  await store.stop();
  const stopped = async (): Promise<true | undefined> =>
    (await store.pid()) === undefined ? true : undefined;
  await waitFor(store.name, stopped, { withinMs: STOP_MS_MAX, everyMs: 50 }).catch(() => undefined);
  await store.cutPower();
  for (const pid of store.processes()) {
    const child = await childOf(pid);
    if (child !== undefined) killNow(child);
    killNow(pid);
  }
}
