import { LOG_LINES_MAX } from "./limits.ts";

export type FunctionLine = { readonly atMs: number; readonly instance: string; readonly text: string };

/** The last lines that one function printed; who follows them gets the new ones, at most as many as are kept. */
export class LogRing {
  #lines: FunctionLine[] = [];
  readonly #followers: Set<(line: FunctionLine) => void> = new Set();

  add(line: FunctionLine): void {
    this.#lines.push(line);
    if (this.#lines.length > LOG_LINES_MAX * 1.2) this.#lines = this.#lines.slice(-LOG_LINES_MAX);
    for (const follower of this.#followers) follower(line);
  }

  since(atMs: number): readonly FunctionLine[] {
    return this.#lines.filter((line) => line.atMs >= atMs);
  }

  tail(count: number): readonly FunctionLine[] {
    return this.#lines.slice(-count);
  }

  follow(listener: (line: FunctionLine) => void): Disposable {
    this.#followers.add(listener);
    return { [Symbol.dispose]: () => void this.#followers.delete(listener) };
  }
}
