import { writeSync } from "node:fs";

/** Writes to a file descriptor, at once. What cannot be written is lost: a full disk under the log must not end a store. */
export function writeText(descriptor: number, text: string): void {
  try {
    writeSync(descriptor, text);
  } catch {
    // process.stdout would throw here, and would write nothing more when there is space again.
  }
}
