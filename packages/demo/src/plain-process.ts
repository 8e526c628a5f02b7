import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { StatusError } from "@cortado/std/status";
import { gone, type Store } from "./box.ts";
import { killNow, startTimeOf } from "./command.ts";

/** A plain process of ours: the hub, and a store on the simulated runtime, where there is no root or no containerd. */
export class PlainProcess implements Store {
  readonly name: string;
  readonly #options: { readonly command: readonly string[]; readonly logFile: string };
  #server: number | undefined;

  constructor(options: {
    readonly name: string;
    readonly command: readonly string[];
    readonly logFile: string;
  }) {
    this.name = options.name;
    this.#options = options;
  }

  async boot(): Promise<void> {
    if ((await this.pid()) !== undefined) return;
    const [program = "", ...words] = this.#options.command;
    const log = openSync(this.#options.logFile, "a", 0o600);
    const child = spawn(program, words, { detached: true, stdio: ["ignore", log, log] });
    closeSync(log);
    child.unref();
    this.#server = child.pid;
  }

  async kill(): Promise<void> {
    const pid = await this.pid();
    if (pid === undefined) throw new StatusError("Conflict", `${this.name} is not running; boot it first`);
    killNow(pid);
    await gone(pid);
  }

  /** Simulated containers live in our process, so both ends are one. */
  async cutPower(): Promise<void> {
    if ((await this.pid()) !== undefined) await this.kill();
    this.#server = undefined;
  }

  /** A plain process has no uplink of its own to cut: the door to the hub is the demo's. */
  setUplink(): Promise<void> {
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    const pid = await this.pid();
    if (pid !== undefined) killNow(pid, "SIGTERM");
  }

  async pid(): Promise<number | undefined> {
    const pid = this.#server;
    return pid !== undefined && (await startTimeOf(pid)) !== undefined ? pid : undefined;
  }

  processes(): readonly number[] {
    return this.#server === undefined ? [] : [this.#server];
  }
}
