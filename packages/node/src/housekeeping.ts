import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Cgroups } from "./cgroups/cgroups.ts";
import type { ImageCollector } from "./images/collector.ts";
import { CONTAINER_GC_MS, IMAGE_GC_MS, LOG_FILE_BYTES_MAX, LOG_FILES_MAX, LOG_ROTATE_MS } from "./limits.ts";
import type { PodRecord } from "./pods/record.ts";
import type { PodRounds } from "./pods/rounds.ts";
import type { PodStarter } from "./pods/starter.ts";
import type { Runtime, RuntimeContainer } from "./runtime/runtime.ts";
import type { Volumes } from "./volumes/volumes.ts";

export type HousekeeperPorts = {
  readonly runtime: Runtime;
  readonly rounds: PodRounds;
  readonly volumes: Volumes;
  readonly cgroups: Cgroups;
  readonly collector: ImageCollector;
  readonly starter: PodStarter;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly logsFolder: string;
};

/** Keeps what pods leave behind small: logs, dead containers and sandboxes, folders and cgroups of pods that are gone, unused images. */
export class Housekeeper {
  readonly #ports: HousekeeperPorts;

  constructor(ports: HousekeeperPorts) {
    this.#ports = ports;
  }

  async run(): Promise<void> {
    await Promise.all([
      this.#every(LOG_ROTATE_MS, "logs not rotated", () => this.rotateLogs()),
      this.#every(CONTAINER_GC_MS, "dead containers not removed", () => this.removeDead()),
      this.#every(CONTAINER_GC_MS, "orphans not removed", () => this.removeOrphans()),
      this.#every(IMAGE_GC_MS, "images not collected", () =>
        this.#ports.collector.collect(this.imagesInUse()),
      ),
    ]);
  }

  imagesInUse(): ReadonlySet<string> {
    const used = new Set<string>();
    for (const { view } of this.#ports.rounds.records.values())
      for (const { imageRef, image } of view.containers) used.add(imageRef).add(image);
    return used;
  }

  /** Cuts the logs of running containers that grew over their limit. */
  async rotateLogs(): Promise<void> {
    const { runtime, starter, signal } = this.#ports;
    if (runtime.logs !== "files") return;
    for (const { pod, view } of this.#ports.rounds.records.values()) {
      if (pod === undefined) continue;
      for (const container of view.containers) {
        if (container.phase !== "running") continue;
        const { logFile } = starter.paths(pod, container);
        const { size } = await stat(logFile).catch(() => ({ size: 0 }));
        if (size > LOG_FILE_BYTES_MAX)
          await this.#rotate(logFile, () => runtime.reopenLog(container.id, { signal }));
      }
    }
  }

  async #rotate(path: string, reopen: () => Promise<void>): Promise<void> {
    const stamp = new Date(this.#ports.clock.nowMs())
      .toISOString()
      .replaceAll(/[-:]|\..*/g, "")
      .replace("T", "-");
    const rotated = `${path}.${stamp}`;
    await rename(path, rotated);
    try {
      await reopen();
    } catch (error) {
      await rename(rotated, path).catch(() => undefined); // the container still writes into it
      throw error;
    }
    const folder = path.slice(0, path.lastIndexOf("/"));
    const name = path.slice(folder.length + 1);
    const old = (await readdir(folder)).filter((one) => one.startsWith(`${name}.`)).toSorted();
    for (const one of old.slice(0, Math.max(0, old.length - (LOG_FILES_MAX - 1))))
      await rm(join(folder, one), { force: true });
  }

  /** Of each container one dead predecessor is kept, for `logs --previous`; sandboxes that are over go with what is in them. */
  async removeDead(): Promise<void> {
    const { runtime, signal } = this.#ports;
    for (const record of this.#ports.rounds.records.values()) {
      const dead = deadOf(record);
      const living = new Set(
        record.view.containers.filter((one) => !dead.includes(one)).map((one) => one.sandboxId),
      );
      for (const container of dead) await runtime.removeContainer(container.id, { signal });
      const [, ...older] = record.view.sandboxes;
      const over = older.filter((sandbox) => !sandbox.ready && !living.has(sandbox.id));
      for (const sandbox of over) await runtime.removeSandbox(sandbox.id, { signal });
      if (dead.length + over.length > 0) record.viewStale = true;
      if (dead.length > 0) await this.#removeLogs(record, dead);
    }
  }

  async #removeLogs({ pod }: PodRecord, dead: readonly RuntimeContainer[]): Promise<void> {
    if (pod === undefined || this.#ports.runtime.logs !== "files") return;
    for (const container of dead) {
      const { logFile, messageFile } = this.#ports.starter.paths(pod, container);
      const folder = logFile.slice(0, logFile.lastIndexOf("/"));
      const name = logFile.slice(folder.length + 1);
      for (const one of await readdir(folder).catch(() => []))
        if (one === name || one.startsWith(`${name}.`)) await rm(join(folder, one), { force: true });
      await rm(messageFile, { force: true });
    }
  }

  /** What a power cut or a forced deletion left of pods that nobody knows. */
  async removeOrphans(): Promise<void> {
    if (this.#ports.runtime.simulated) return;
    const { rounds, volumes, cgroups, logsFolder } = this.#ports;
    const known = (uid: string): boolean => rounds.records.has(uid);
    for (const uid of await volumes.podUids()) if (!known(uid)) await volumes.remove(uid);
    for (const pod of await cgroups.pods()) if (!known(pod.uid)) await cgroups.removePod(pod);
    for (const name of await readdir(logsFolder).catch(() => [])) {
      const uid = name.slice(name.lastIndexOf("_") + 1);
      if (!known(uid)) await rm(join(logsFolder, name), { recursive: true, force: true });
    }
  }

  async #every(ms: number, failure: string, work: () => Promise<void>): Promise<void> {
    const { clock, signal, log } = this.#ports;
    while (!signal.aborted) {
      try {
        await clock.sleep(ms, { signal });
        await work();
      } catch (error) {
        if (!signal.aborted) log.warn(failure, { error });
      }
    }
  }
}

function deadOf({ view }: PodRecord): readonly RuntimeContainer[] {
  const seen = new Map<string, number>();
  return view.containers.filter((container) => {
    const newer = seen.get(container.name) ?? 0;
    seen.set(container.name, newer + 1);
    return container.phase === "exited" && newer >= 2;
  });
}
