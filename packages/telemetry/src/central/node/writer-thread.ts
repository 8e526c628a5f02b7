import type { MessagePort, Worker } from "node:worker_threads";
import { fromStatus, messageOf, StatusError, toStatusError, type Status } from "@cortado/std/status";
import type { Clock } from "@cortado/std/clock";
import { COMMIT_SAMPLES, COMMIT_SLOW_MS } from "../../limits.ts";
import type { Command, CommandResult, EventWriter } from "../event-store.ts";
import { EventDatabase } from "./event-database.ts";

/** Starts a thread that runs `serveEventWriter` with its parent port; the caller knows how to start one from its bundle. */
export type OpenWriter = (path: string) => Worker;

type Answer = { readonly result?: CommandResult; readonly failure?: Status };

/** Runs in the thread: does what it is told, one thing at a time. */
export function serveEventWriter(port: MessagePort, path: string): void {
  const opened = attempt(() => new EventDatabase(path));
  port.on("message", (command: Command | "close") => {
    if (command !== "close") {
      port.postMessage(attempt(() => opened.result?.run(command)) as Answer);
      return;
    }
    opened.result?.[Symbol.dispose]();
    port.close();
  });
  port.postMessage({ failure: opened.failure } as Answer);
}

function attempt<Result>(work: () => Result): { readonly result?: Result; readonly failure?: Status } {
  try {
    return { result: work() };
  } catch (error) {
    return { failure: toStatusError(error).toStatus() };
  }
}

/** The writer in a thread of its own, so that a slow sync holds nothing else up. One command at a time. */
async function threadWriter(openWriter: OpenWriter, path: string): Promise<EventWriter> {
  const worker = openWriter(path);
  let settle: ((answer: Answer) => void) | undefined;
  const answered = (): Promise<CommandResult | undefined> =>
    new Promise((resolve, reject) => {
      settle = ({ result, failure }) =>
        failure === undefined ? resolve(result) : reject(fromStatus(failure));
    });
  const ended = (error?: unknown): void => {
    const cause = error ?? new Error("the thread that writes events ended");
    settle?.({ failure: new StatusError("ServiceUnavailable", messageOf(cause), { cause }).toStatus() });
  };
  worker.on("message", (answer: Answer) => settle?.(answer));
  worker.on("error", ended);
  worker.on("exit", () => ended());
  await answered();
  return {
    async run(command) {
      const done = answered();
      worker.postMessage(command);
      return (await done) ?? { changed: 0, bytes: 0 };
    },
    async [Symbol.asyncDispose]() {
      settle = undefined;
      const exited = new Promise((resolve) => worker.once("exit", resolve));
      worker.postMessage("close");
      await exited;
    },
  };
}

export type EventWriterOptions = {
  readonly path: string;
  readonly clock: Clock;
  /** Absent: the event loop waits for the disk, however slow it is. */
  readonly openWriter?: OpenWriter;
};

/**
 * The writer: on the event loop while the disk is quick, which costs no memory; once most commits take over 5 ms, as on flash, in a thread
 * for good.
 */
export function openEventWriter({ path, clock, openWriter }: EventWriterOptions): EventWriter {
  let inline: EventDatabase | undefined = new EventDatabase(path);
  let thread: EventWriter | undefined;
  const tookMs: number[] = [];
  const isSlow = (): boolean =>
    tookMs.length >= COMMIT_SAMPLES &&
    (tookMs.toSorted((one, other) => one - other)[COMMIT_SAMPLES / 2] ?? 0) > COMMIT_SLOW_MS;
  return {
    async run(command: Command) {
      if (inline === undefined) {
        thread ??= await threadWriter(openWriter as OpenWriter, path);
        return await thread.run(command);
      }
      const startMs = clock.monotonicMs();
      const result = inline.run(command);
      tookMs.push(clock.monotonicMs() - startMs);
      if (tookMs.length > COMMIT_SAMPLES) tookMs.shift();
      if (openWriter !== undefined && isSlow()) {
        inline[Symbol.dispose](); // one writer at a time
        inline = undefined;
      }
      return result;
    },
    async [Symbol.asyncDispose]() {
      inline?.[Symbol.dispose]();
      await thread?.[Symbol.asyncDispose]();
    },
  };
}
