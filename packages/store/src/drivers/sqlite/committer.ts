import type { MessagePort, Worker } from "node:worker_threads";
import { fromStatus, messageOf, StatusError, toStatusError, type Status } from "@cortado/std/status";
import type { Commit } from "../../log-store.ts";
import { Database } from "./database.ts";

/** Starts a thread that runs `serveCommits` with its parent port; the caller knows how to start one from its bundle. */
export type OpenWorker = (path: string) => Worker;

type Answer = { readonly status: Status | undefined };

/** Runs in the thread: commits what it is sent, one at a time. */
export function serveCommits(port: MessagePort, path: string): void {
  const database = new Database(path);
  port.on("message", (commit: Commit | "close") => {
    if (commit === "close") {
      database[Symbol.dispose]();
      port.close();
      return;
    }
    port.postMessage({ status: attempt(() => database.commit(commit)) } satisfies Answer);
  });
  port.postMessage({ status: undefined } satisfies Answer); // open
}

function attempt(work: () => void): Status | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return toStatusError(error).toStatus();
  }
}

export interface WorkerDatabase extends AsyncDisposable {
  commit(commit: Commit): Promise<void>;
}

/** The other end: hands commits to the thread, one at a time. */
export async function workerDatabase(openWorker: OpenWorker, path: string): Promise<WorkerDatabase> {
  const worker = openWorker(path);
  let settle: ((status: Status | undefined) => void) | undefined;
  const answered = (): Promise<void> =>
    new Promise((resolve, reject) => {
      settle = (status) => (status === undefined ? resolve() : reject(fromStatus(status)));
    });
  const ended = (error?: unknown): void => {
    const cause = error ?? new Error("the thread that commits to the disk ended");
    settle?.(new StatusError("ServiceUnavailable", messageOf(cause), { cause }).toStatus());
  };
  worker.on("message", ({ status }: Answer) => settle?.(status));
  worker.on("error", ended);
  worker.on("exit", () => ended());
  await answered();
  return {
    async commit(commit) {
      const done = answered();
      worker.postMessage(commit);
      await done;
    },
    async [Symbol.asyncDispose]() {
      settle = undefined;
      const exited = new Promise((resolve) => worker.once("exit", resolve));
      worker.postMessage("close");
      await exited;
    },
  };
}
