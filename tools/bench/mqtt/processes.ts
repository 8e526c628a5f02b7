import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";

/** A broker in a process of its own. Disposing it kills it. */
export type Broker = AsyncDisposable & {
  readonly port: number;
  readonly pid: number;
  /** Of ours: what the heap has after a collection. */
  readonly heapMb: () => Promise<number>;
};

export type Numbers = Readonly<Record<string, number>>;

export function pinned(core: number, program: string, words: readonly string[]): ChildProcess {
  // mosquitto says at each start that it should not be root; the bench is.
  const errors = program === "mosquitto" ? "ignore" : "inherit";
  return spawn("taskset", ["-c", String(core), program, ...words], { stdio: ["pipe", "pipe", errors] });
}

export function brokerOf(child: ChildProcess, gone: Promise<unknown>, port: number): Broker {
  return {
    port,
    pid: child.pid ?? 0,
    async heapMb() {
      if (!child.spawnargs.includes("--expose-gc")) return Number.NaN;
      const told = firstText(child, gone);
      child.stdin?.write("heap\n");
      return Number(await told) / 2 ** 20;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

export async function firstText(child: ChildProcess, gone: Promise<unknown>): Promise<string> {
  if (child.stdout === null) throw new Error("the child has no output");
  const lines = createInterface({ input: child.stdout });
  const ended = gone.then(() => {
    throw new Error("a child of the benchmark ended before it said anything");
  });
  const [line] = (await Promise.race([once(lines, "line"), ended])) as [string];
  return line;
}

export async function firstLine(child: ChildProcess, gone: Promise<unknown>): Promise<Numbers> {
  return JSON.parse(await firstText(child, gone)) as Numbers;
}

export async function untilOpen(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const socket = connect({ port, host: "127.0.0.1" });
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("mosquitto does not start; install mosquitto");
}

/** Lets a garbage collection and the kernel's bookkeeping come. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 3_000));
}

export function rssMb(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kb) / 1024;
}
