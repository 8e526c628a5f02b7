import { isTree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import { TEMPLATE_BYTES_MAX, TEMPLATE_DEPTH_MAX, TEMPLATE_STEPS_MAX } from "../../limits.ts";

/** What one run of a template has used: it ends with an error where a limit is reached, and never hangs. */
export class Run {
  #steps = 0;
  #written = 0;
  #depth = 0;

  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > TEMPLATE_STEPS_MAX)
      throw new StatusError(
        "Invalid",
        `it takes more than ${TEMPLATE_STEPS_MAX} steps; make its lists or loops shorter`,
      );
  }

  wrote(text: string): void {
    this.#written += text.length;
    if (this.#written > TEMPLATE_BYTES_MAX) throw tooLong();
  }

  /** A value that a function made: it is not larger than what a template may write. */
  check(value: unknown): unknown {
    if (typeof value === "string") {
      if (value.length > TEMPLATE_BYTES_MAX) throw tooLong();
      this.step(1 + (value.length >> 10));
    } else if (Array.isArray(value)) this.step(1 + value.length);
    else if (isTree(value)) this.step(1 + Object.keys(value).length);
    return value;
  }

  /** Counts every value in it, as often as it stands there: before it is written out. */
  weigh(value: unknown): void {
    this.step();
    if (typeof value === "string") this.step(value.length >> 6);
    else if (typeof value === "object" && value !== null)
      this.deeper(() => {
        for (const child of Object.values(value)) this.weigh(child);
      });
  }

  deeper<Result>(work: () => Result): Result {
    this.#depth += 1;
    if (this.#depth > TEMPLATE_DEPTH_MAX)
      throw new StatusError("Invalid", `templates or values stand ${TEMPLATE_DEPTH_MAX} deep in one another`);
    const result = work();
    this.#depth -= 1;
    return result;
  }
}

function tooLong(): StatusError {
  return new StatusError("Invalid", `it writes more than ${TEMPLATE_BYTES_MAX} characters`);
}
