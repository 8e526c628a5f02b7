import type { MessagePort, Worker } from "node:worker_threads";
import { fromStatus, messageOf, StatusError, toStatusError, type Status } from "@cortado/std/status";
import type { Commit } from "../../durability.ts";
import type { KeyValue } from "../../store.ts";
import { Database } from "./database.ts";

/** Starts a thread that runs `serveCommits` with its parent port; the caller knows how to start one from its bundle. */
export type OpenWorker = (path: string) => Worker;

type Order = { readonly commit: Commit } | { readonly read: readonly string[] } | "close";
type Values = readonly (KeyValue | undefined)[];
/** `values` of a read; a status when it failed. */
type Answer = { readonly values?: Values; readonly status?: Status };

/** Runs in the thread: does what it is sent, one at a time, in order. */
export function serveCommits(port: MessagePort, path: string): void {
  const database = new Database(path);
  port.on("message", (order: Order) => {
    if (order === "close") {
      database[Symbol.dispose]();
      port.close();
      return;
    }
    port.postMessage(attempt(() => answer(database, order)));
  });
  port.postMessage({} satisfies Answer); // open
}

function answer(database: Database, order: Exclude<Order, "close">): Answer {
  if ("read" in order) return { values: database.read(order.read) };
  database.commit(order.commit);
  return {};
}

function attempt(work: () => Answer): Answer {
  try {
    return work();
  } catch (error) {
    return { status: toStatusError(error).toStatus() };
  }
}

export interface WorkerDatabase extends AsyncDisposable {
  commit(commit: Commit): Promise<void>;
  read(keys: readonly string[]): Promise<Values>;
}

/** The other end: hands commits and reads to the thread, which answers them in order. */
export async function workerDatabase(openWorker: OpenWorker, path: string): Promise<WorkerDatabase> {
  const worker = openWorker(path);
  const waiting: ((answer: Answer) => void)[] = [];
  let end: Answer | undefined;
  const answered = (): Promise<Values> =>
    new Promise((resolve, reject) => {
      const settle = ({ status, values = [] }: Answer): void =>
        status === undefined ? resolve(values) : reject(fromStatus(status));
      if (end === undefined) waiting.push(settle);
      else settle(end);
    });
  const ended = (error?: unknown): void => {
    const cause = error ?? new Error("the thread that commits to the disk ended");
    end ??= { status: new StatusError("ServiceUnavailable", messageOf(cause), { cause }).toStatus() };
    for (const settle of waiting.splice(0)) settle(end);
  };
  worker.on("message", (one: Answer) => waiting.shift()?.(one));
  worker.on("error", ended);
  worker.on("exit", () => ended());
  await answered();
  const order = (one: Order): Promise<Values> => {
    const done = answered();
    worker.postMessage(one);
    return done;
  };
  return {
    commit: async (commit) => void (await order({ commit })),
    read: (read) => order({ read }),
    async [Symbol.asyncDispose]() {
      const exited = new Promise((resolve) => worker.once("exit", resolve));
      worker.postMessage("close" satisfies Order);
      if (end === undefined) await exited;
    },
  };
}
