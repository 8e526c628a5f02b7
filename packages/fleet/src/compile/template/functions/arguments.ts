import { isTree, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";
import { goKind } from "../go-text.ts";
import type { Run } from "../run.ts";

/** What a function of a template was called with. Each reader says which value of which function does not fit. */
export class Arguments {
  readonly name: string;
  readonly values: readonly unknown[];
  readonly run: Run;

  constructor(name: string, values: readonly unknown[], run: Run) {
    this.name = name;
    this.values = values;
    this.run = run;
  }

  get count(): number {
    return this.values.length;
  }

  /** A value, or the last ones: Go's templates pipe the last. */
  any(index: number): unknown {
    return this.values.at(index);
  }

  text(index: number): string {
    const value = this.values.at(index);
    if (typeof value !== "string") throw this.#wrong(index, "text");
    return value;
  }

  /** As sprig casts: text of digits counts, anything else is 0. */
  whole(index: number): number {
    return Math.trunc(this.decimal(index));
  }

  decimal(index: number): number {
    const value = this.values.at(index);
    if (typeof value === "number" || typeof value === "bigint") return Number(value);
    if (typeof value === "boolean") return value ? 1 : 0;
    if (typeof value !== "string" || !/^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$/.test(value)) return 0;
    return Number(value);
  }

  list(index: number): readonly unknown[] {
    const value = this.values.at(index);
    if (!Array.isArray(value)) throw this.#wrong(index, "a list");
    return value;
  }

  dict(index: number): Tree {
    const value = this.values.at(index);
    if (!isTree(value)) throw this.#wrong(index, "a map");
    return value;
  }

  rest(from: number): readonly unknown[] {
    return this.values.slice(from);
  }

  /** @throws StatusError "Invalid" */
  counts(least: number, most: number = least): void {
    if (this.count >= least && this.count <= most) return;
    const wanted =
      least === most ? `${least}` : most === Infinity ? `at least ${least}` : `${least} to ${most}`;
    throw this.fault(`takes ${wanted} value${wanted === "1" ? "" : "s"}, not ${this.count}`);
  }

  fault(message: string): StatusError {
    return new StatusError("Invalid", `${this.name} ${message}`);
  }

  #wrong(index: number, wanted: string): StatusError {
    const place = index < 0 ? this.count + index : index;
    const value = this.values.at(index);
    const found = value === null || value === undefined ? "a value that is absent" : `${goKind(value)}`;
    return this.fault(`wants ${wanted} as value ${place + 1}, not ${found}`);
  }
}

export type TemplateFunction = (given: Arguments) => unknown;
export type FunctionTable = Readonly<
  Record<string, readonly [least: number, most: number, TemplateFunction]>
>;

export const anyCount: number = Infinity;
