import { UNCOMMITTED_BYTES_MAX, UNCOMMITTED_ITEMS_MAX } from "../limits.ts";

/** What a connection has published and is not on disk yet. */
export class Uncommitted {
  #items = 0;
  #bytes = 0;

  get isFull(): boolean {
    return this.#items >= UNCOMMITTED_ITEMS_MAX || this.#bytes >= UNCOMMITTED_BYTES_MAX;
  }

  add(bytes: number): void {
    this.#items += 1;
    this.#bytes += bytes;
  }

  done(bytes: number): void {
    this.#items -= 1;
    this.#bytes -= bytes;
  }
}
