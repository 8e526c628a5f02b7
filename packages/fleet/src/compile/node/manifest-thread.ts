import type { MessagePort, Worker } from "node:worker_threads";
import type { Clock } from "@cortado/std/clock";
import { fromStatus, StatusError, toStatusError, type Status } from "@cortado/std/status";
import { parseYamlDocuments, type YamlDocument } from "@cortado/wire/yaml";
import type { ReadDocuments } from "../bundle.ts";
import { readHere } from "../manifest-check.ts";
import { DOCUMENTS_AT_ONCE, READ_HERE_CHARS_MAX, READ_MS_MAX } from "../../limits.ts";

/** Some documents; `duplicates`, of all of them, come with the last. */
type Answer =
  | { readonly values: readonly unknown[]; readonly duplicates?: readonly string[] }
  | { readonly status: Status; readonly place: Place };

/** Where the reader of YAML stopped, and why; it is told as the cause of the error. */
type Place = { readonly mark?: { readonly line: number; readonly column: number }; readonly reason?: string };

/** Runs in the thread: reads the one text that it is sent. */
export function serveManifests(port: MessagePort): void {
  port.once("message", (text: string) => {
    for (const answer of answersTo(text)) port.postMessage(answer);
  });
}

/** In parts: who takes a message in does nothing else meanwhile. */
function* answersTo(text: string): Iterable<Answer> {
  let documents: readonly YamlDocument[];
  try {
    documents = parseYamlDocuments(text);
  } catch (error) {
    const { mark, reason } = ((error as Error).cause ?? {}) as Place;
    const at = mark === undefined ? {} : { mark: { line: mark.line, column: mark.column } };
    yield {
      status: toStatusError(error).toStatus(),
      place: { ...at, ...(reason === undefined ? {} : { reason }) },
    };
    return;
  }
  const values = documents.map(({ value }) => value);
  for (let from = 0; from < values.length; from += DOCUMENTS_AT_ONCE)
    yield { values: values.slice(from, from + DOCUMENTS_AT_ONCE) };
  yield { values: [], duplicates: documents[0]?.duplicates ?? [] };
}

/**
 * Reads long texts in a thread of its own, one after the other, so that a hub answers others while it reads what a repository has. A thread
 * lives for one text: what it needed is given back with it.
 * @param openThread starts one that runs `serveManifests`, within its memory
 */
export function readInThreads(openThread: () => Worker, clock: Clock): ReadDocuments {
  let last: Promise<unknown> = Promise.resolve();
  return (text) => {
    if (text.length <= READ_HERE_CHARS_MAX) return readHere(text);
    const read = last.then(() => readInThread(openThread(), text, clock));
    last = read.catch(() => undefined);
    return read;
  };
}

async function readInThread(thread: Worker, text: string, clock: Clock): Promise<readonly YamlDocument[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly YamlDocument[]>();
  using _limit = clock.after(READ_MS_MAX, () =>
    reject(tooMuch(`takes longer than ${READ_MS_MAX / 1_000} s`)),
  );
  const values: unknown[] = [];
  thread.on("message", (answer: Answer) => {
    if ("status" in answer) {
      const { reason, message } = fromStatus(answer.status);
      return reject(new StatusError(reason, message, { cause: answer.place }));
    }
    for (const value of answer.values) values.push(value);
    const { duplicates } = answer;
    if (duplicates !== undefined) resolve(values.map((value) => ({ value, duplicates })));
  });
  thread.once("error", (error: Error & { readonly code?: string }) => {
    const isFull = error.code === "ERR_WORKER_OUT_OF_MEMORY";
    reject(isFull ? tooMuch("takes more memory than there is for it") : error);
  });
  thread.once("exit", () => reject(new StatusError("ServiceUnavailable", "the thread that reads it ended")));
  thread.postMessage(text);
  try {
    return await promise;
  } finally {
    await thread.terminate();
  }
}

function tooMuch(why: string): StatusError {
  return new StatusError("Invalid", `to read it ${why}; make several files of it`);
}
