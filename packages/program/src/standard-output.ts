import { writeSync } from "node:fs";

/** Writes a line to a file descriptor, at once. A line that cannot be written is lost: a full disk under the log must not end a store. */
export function writeLine(descriptor: number, line: string): void {
  try {
    writeSync(descriptor, `${line}\n`);
  } catch {
    // process.stdout would throw here, and would write nothing more when there is space again.
  }
}
