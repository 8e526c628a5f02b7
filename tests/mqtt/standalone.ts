import { spawn, type ChildProcess } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run, type Ran } from "../clients/clients.ts";

const program = join(import.meta.dirname, "..", "..", "packages", "program", "src", "main.ts");

/** The command line, as people type it. */
export const cortado = (...words: readonly string[]): Promise<Ran> =>
  run(process.execPath, [program, ...words]);

/** A folder with all the files, and the broker's process that serves by them. */
export class Standalone implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "cortado-mqtt-"));
  readonly ports: readonly number[];
  #child: ChildProcess | undefined;

  constructor(ports: readonly number[]) {
    this.ports = ports;
  }

  at(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, ...lines: readonly string[]): void {
    writeFileSync(this.at(name), `${lines.join("\n")}\n`);
  }

  get log(): string {
    return existsSync(this.at("log")) ? readFileSync(this.at("log"), "utf8") : "";
  }

  async start(): Promise<void> {
    rmSync(this.at("log"), { force: true });
    const child = spawn(process.execPath, [program, "mqtt", "--config", this.at("mqtt.yaml")]);
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => appendFileSync(this.at("log"), bytes));
    await this.logged(/mqtt broker serves/);
  }

  async logged(words: RegExp): Promise<void> {
    for (const end = performance.now() + 20_000; !words.test(this.log); await sleep(30))
      if (performance.now() > end) throw new Error(`${String(words)} is not in: ${this.log.slice(-2_000)}`);
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async end(name: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(name);
    await gone;
  }

  /** mosquitto_sub and mosquitto_pub against one of its ports. */
  sub(port: number, ...words: readonly string[]): Promise<Ran> {
    return run("mosquitto_sub", ["-h", "127.0.0.1", "-p", String(port), "-W", "4", ...words]);
  }

  pub(port: number, ...words: readonly string[]): Promise<Ran> {
    return run("mosquitto_pub", ["-h", "127.0.0.1", "-p", String(port), ...words]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// mosquitto_passwd of 2.0.11: barista/espresso and manager/ristretto.
export const barista =
  "barista:$7$101$OSJ/X2gyW2XuZWTx$jfezaMZXLK9PaZM56HbHkj/KIGZQeVNzf0geCu8rWG9jkeOynwBTGmAscIeT/msG+aAo0ZNDuIt/fjG069yhFA==";
export const manager =
  "manager:$7$101$/vjJDc+hesp8kPC3$ylkQFRkYjtILnC1OVzW5EU+rxn61E8ARKmDW9xXmtxRkLN6wY4VahPkHbvHpRqWZ7BSK+JmDwAPf/GLbf6b2Jg==";
export const names = (user: string, password: string): readonly string[] => ["-u", user, "-P", password];
