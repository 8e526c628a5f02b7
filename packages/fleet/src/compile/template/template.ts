import { fieldOf, isTree } from "@cortado/kinds/tree";
import { messageOf, StatusError } from "@cortado/std/status";
import { functions, refusal } from "./functions/functions.ts";
import { goKind, goText, isTrue, sortedKeys } from "./go-text.ts";
import { parseTemplate, type Branch, type Command, type Node, type Operand, type Pipe } from "./parse.ts";
import { fault } from "./tokens.ts";
import { Run } from "./run.ts";
import { Arguments } from "./functions/arguments.ts";

export type TemplateOptions = {
  /** As Go: an absent value is written `<no value>`. Otherwise it is an error. */
  readonly strict: boolean;
};

/** A template that was read once, for many contexts. */
export type Filling = {
  /** @throws StatusError "Invalid": the action and what is wrong with it; the action alone is `details.name` */
  readonly fill: (dot: unknown) => string;
};

/** Reads a Go template with the delimiters `${` and `}`. @throws StatusError "Invalid" that names the action */
export function newTemplate(text: string, { strict }: TemplateOptions): Filling {
  const template = parseTemplate(text, { left: "${", right: "}", refuses: refusal });
  return {
    fill: (dot) => {
      const filler = new Filler({ defined: template.defined, strict });
      try {
        return filler.fill(template.nodes, dot);
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        throw fault(filler.here, messageOf(error), { cause: error });
      }
    },
  };
}

type Variable = { readonly name: string; value: unknown };
type Signal = "break" | "continue" | undefined;

class Filler {
  readonly #defined: ReadonlyMap<string, readonly Node[]>;
  readonly #strict: boolean;
  readonly #run: Run = new Run();
  #out = "";
  #variables: Variable[] = [];
  /** Source of the action that runs. */
  here = "";

  constructor(options: { readonly defined: ReadonlyMap<string, readonly Node[]>; readonly strict: boolean }) {
    this.#defined = options.defined;
    this.#strict = options.strict;
  }

  fill(nodes: readonly Node[], dot: unknown): string {
    this.#variables = [{ name: "", value: dot }];
    this.#list(nodes, dot);
    return this.#out;
  }

  #list(nodes: readonly Node[], dot: unknown): Signal {
    for (const node of nodes) {
      const signal = this.#node(node, dot);
      if (signal !== undefined) return signal;
    }
    return undefined;
  }

  #node(node: Node, dot: unknown): Signal {
    this.#run.step();
    if (node.kind === "text") return this.#write(node.text);
    this.here = node.source;
    switch (node.kind) {
      case "action": {
        const value = this.#pipe(node.pipe, dot);
        if (node.pipe.names.length > 0) return undefined;
        return this.#write(this.#textOf(value));
      }
      case "if":
      case "with":
        return this.#scoped(() => {
          const value = this.#pipe(node.pipe, dot);
          if (!isTrue(value)) return this.#list(node.otherwise, dot);
          return this.#list(node.chosen, node.kind === "with" ? value : dot);
        });
      case "range":
        return this.#scoped(() => this.#range(node, dot));
      case "template":
        return this.#call(node.name, node.pipe === undefined ? null : this.#pipe(node.pipe, dot));
      case "break":
      case "continue":
        return node.kind;
    }
  }

  #write(text: string): undefined {
    this.#run.wrote(text);
    this.#out += text;
  }

  #textOf(value: unknown): string {
    if ((value === null || value === undefined) && !this.#strict)
      throw new StatusError("Invalid", "it has no value; give it one, or a default");
    if (typeof value === "object") this.#run.weigh(value);
    return goText(value);
  }

  /** What is declared inside is gone after it. */
  #scoped(work: () => Signal): Signal {
    const mark = this.#variables.length;
    const signal = work();
    this.#variables.length = mark;
    return signal;
  }

  #call(name: string, dot: unknown): undefined {
    const nodes = this.#defined.get(name);
    if (nodes === undefined)
      throw new StatusError("Invalid", `no template is defined as ${JSON.stringify(name)}`);
    const [variables, here] = [this.#variables, this.here];
    this.#variables = [{ name: "", value: dot }];
    this.#run.deeper(() => this.#list(nodes, dot));
    this.#variables = variables;
    this.here = here;
  }

  #range(node: Branch, dot: unknown): Signal {
    const over = this.#value(node.pipe, dot);
    const pairs = pairsOf(over);
    if (pairs === undefined)
      throw new StatusError("Invalid", `range goes over a list or a map, not ${goKind(over)}`);
    const names = node.pipe.names;
    let isEmpty = true;
    for (const [key, value] of pairs) {
      isEmpty = false;
      this.#run.step();
      const signal = this.#scoped(() => {
        const told = names.length === 2 ? [key, value] : [value];
        for (const [index, name] of names.entries()) this.#set(name, told[index], node.pipe.assigns);
        return this.#list(node.chosen, value);
      });
      if (signal === "break") break;
    }
    return isEmpty ? this.#list(node.otherwise, dot) : undefined;
  }

  #set(name: string, value: unknown, assigns: boolean): void {
    if (!assigns) {
      this.#variables.push({ name, value });
      return;
    }
    const variable = this.#variables.findLast((one) => one.name === name);
    if (variable === undefined) throw new StatusError("Invalid", `$${name} is not declared`);
    variable.value = value;
  }

  #pipe(pipe: Pipe, dot: unknown): unknown {
    const value = this.#value(pipe, dot);
    const [name] = pipe.names;
    if (name !== undefined) this.#set(name, value, pipe.assigns);
    return value;
  }

  #value({ commands }: Pipe, dot: unknown): unknown {
    return this.#run.deeper(() => {
      let value: readonly unknown[] = [];
      for (const command of commands) value = [this.#command(command, { dot, piped: value })];
      return value[0];
    });
  }

  /** @param piped the value before `|`, if there is one */
  #command(
    [first, ...rest]: Command,
    { dot, piped }: { readonly dot: unknown; readonly piped: readonly unknown[] },
  ): unknown {
    this.#run.step();
    if (first?.kind !== "function") {
      if (rest.length + piped.length > 0) throw new StatusError("Invalid", "what comes first is no function");
      return this.#operand(first as Operand, dot);
    }
    const { name } = first;
    if (name === "and" || name === "or") return this.#shortcut(name, { operands: rest, dot, piped });
    const values = [...rest.map((operand) => this.#operand(operand, dot)), ...piped];
    const made = functions.get(name);
    if (made === undefined) throw new StatusError("Invalid", `there is no function ${name}`);
    return this.#run.check(made(new Arguments(name, values, this.#run)));
  }

  #shortcut(
    name: "and" | "or",
    {
      operands,
      dot,
      piped,
    }: { readonly operands: readonly Operand[]; readonly dot: unknown; readonly piped: readonly unknown[] },
  ): unknown {
    let value: unknown;
    for (const operand of operands) {
      value = this.#operand(operand, dot);
      if (isTrue(value) === (name === "or")) return value;
    }
    if (operands.length + piped.length === 0) throw new StatusError("Invalid", `${name} needs a value`);
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: unknown): unknown {
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "dot":
        return dot;
      case "variable": {
        const variable = this.#variables.findLast(({ name }) => name === operand.name);
        if (variable === undefined) throw new StatusError("Invalid", `$${operand.name} is not declared`);
        return variable.value;
      }
      case "function":
        return this.#command([operand], { dot, piped: [] });
      case "pipe":
        return this.#value(operand.pipe, dot);
      case "fields": {
        let value = this.#operand(operand.of, dot);
        for (const [index, key] of operand.path.entries())
          value = field(value, key, [...prefixOf(operand.of), ...operand.path.slice(0, index)]);
        return value;
      }
    }
  }
}

function prefixOf(operand: Operand): readonly string[] {
  if (operand.kind === "variable") return [`$${operand.name}`];
  return operand.kind === "pipe" ? ["(…)"] : [];
}

function field(value: unknown, key: string, path: readonly string[]): unknown {
  const of =
    path.length === 0 ? "." : path[0]?.startsWith("$") === true ? path.join(".") : `.${path.join(".")}`;
  if (!isTree(value))
    throw new StatusError(
      "Invalid",
      `${of} has no field ${key}: it is ${value === null || value === undefined ? "absent" : goKind(value)}`,
    );
  if (!Object.hasOwn(value, key)) throw new StatusError("Invalid", `${of} has no key ${JSON.stringify(key)}`);
  return fieldOf(value, key);
}

function pairsOf(value: unknown): Iterable<readonly [unknown, unknown]> | undefined {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.entries();
  if (typeof value === "number" && Number.isInteger(value)) return counted(value);
  if (!isTree(value)) return undefined;
  return sortedKeys(value).map((key) => [key, fieldOf(value, key)] as const);
}

function* counted(count: number): Generator<readonly [number, number]> {
  for (let index = 0; index < count; index += 1) yield [index, index];
}
