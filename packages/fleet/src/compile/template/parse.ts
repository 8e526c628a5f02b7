import { TEMPLATE_DEPTH_MAX } from "../../limits.ts";
import { cutTemplate, fault, type Delimiters, type Piece, type Token } from "./tokens.ts";

export type Operand =
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "dot" }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "pipe"; readonly pipe: Pipe }
  | { readonly kind: "fields"; readonly of: Operand; readonly path: readonly string[] };

export type Command = readonly Operand[];

export type Pipe = {
  /** Variables that it sets: two in a range. */
  readonly names: readonly string[];
  /** `=` and not `:=`. */
  readonly assigns: boolean;
  readonly commands: readonly Command[];
};

type Written = { readonly source: string };
export type Branch = Written & {
  readonly kind: "if" | "with" | "range";
  readonly pipe: Pipe;
  readonly chosen: readonly Node[];
  readonly otherwise: readonly Node[];
};
export type Node =
  | Branch
  | (Written & { readonly kind: "text"; readonly text: string })
  | (Written & { readonly kind: "action"; readonly pipe: Pipe })
  | (Written & { readonly kind: "template"; readonly name: string; readonly pipe: Pipe | undefined })
  | (Written & { readonly kind: "break" | "continue" });

export type Template = {
  readonly nodes: readonly Node[];
  readonly defined: ReadonlyMap<string, readonly Node[]>;
};

export type ParseOptions = Delimiters & {
  /** @returns why a function cannot be called; undefined when it can */
  readonly refuses: (name: string) => string | undefined;
};

/** @throws StatusError "Invalid" that names the action and what is wrong with it */
export function parseTemplate(text: string, options: ParseOptions): Template {
  const state: State = {
    pieces: cutTemplate(text, options),
    next: 0,
    depth: 0,
    ranges: 0,
    defined: new Map(),
    refuses: options.refuses,
  };
  const { nodes, end } = parseList(state);
  if (end !== undefined) throw fault(end.source, `there is nothing that ${end.word} belongs to`);
  return { nodes, defined: state.defined };
}

type State = {
  readonly pieces: readonly Piece[];
  next: number;
  depth: number;
  ranges: number;
  readonly defined: Map<string, readonly Node[]>;
  readonly refuses: ParseOptions["refuses"];
};

type Action = Extract<Piece, { readonly kind: "action" }>;
type End = { readonly word: "else" | "end"; readonly source: string; readonly rest: Reader };
type Block = { readonly nodes: readonly Node[]; readonly end: End | undefined };

function parseList(state: State): Block {
  const nodes: Node[] = [];
  while (state.next < state.pieces.length) {
    const piece = state.pieces[state.next] as Piece;
    state.next += 1;
    if (piece.kind === "text") {
      nodes.push({ kind: "text", text: piece.text, source: piece.text });
      continue;
    }
    const reader = new Reader(piece, state);
    const word = reader.word();
    if (word === "end") reader.finish();
    if (word === "else" || word === "end")
      return { nodes, end: { word, source: piece.source, rest: reader } };
    const node = parseAction(state, { piece, reader, word });
    if (node !== undefined) nodes.push(node);
  }
  return { nodes, end: undefined };
}

type Reading = { readonly piece: Action; readonly reader: Reader; readonly word: string | undefined };

function parseAction(state: State, { piece, reader, word }: Reading): Node | undefined {
  const { source } = piece;
  switch (word) {
    case "if":
    case "with":
    case "range":
      return parseBranch(state, { kind: word, reader, source });
    case "define":
    case "block": {
      const name = reader.text(word);
      const pipe = word === "block" ? reader.pipe() : undefined;
      reader.finish();
      if (word === "define" && state.depth > 0) throw fault(source, "define stands in no other block");
      state.defined.set(
        name,
        deeper(state, source, () => body(state, source, word)),
      );
      return word === "block" ? { kind: "template", name, pipe, source } : undefined;
    }
    case "template": {
      const name = reader.text(word);
      const pipe = reader.isDone() ? undefined : reader.pipe();
      reader.finish();
      return { kind: "template", name, pipe, source };
    }
    case "break":
    case "continue":
      reader.finish();
      if (state.ranges === 0) throw fault(source, `${word} stands outside of a range`);
      return { kind: word, source };
    default: {
      const pipe = reader.pipe();
      reader.finish();
      return { kind: "action", pipe, source };
    }
  }
}

function body(state: State, source: string, word: string): readonly Node[] {
  const { nodes, end } = parseList(state);
  if (end?.word !== "end") throw fault(source, `this ${word} has no end`);
  return nodes;
}

function deeper<Result>(state: State, source: string, work: () => Result): Result {
  state.depth += 1;
  if (state.depth > TEMPLATE_DEPTH_MAX)
    throw fault(source, `blocks stand ${TEMPLATE_DEPTH_MAX} deep in one another, which is the most`);
  const result = work();
  state.depth -= 1;
  return result;
}

type BranchReading = {
  readonly kind: "if" | "with" | "range";
  readonly reader: Reader;
  readonly source: string;
};

function parseBranch(state: State, { kind, reader, source }: BranchReading): Node {
  const pipe = reader.pipe({ isRange: kind === "range" });
  reader.finish();
  return deeper(state, source, () => {
    if (kind === "range") state.ranges += 1;
    const { nodes: chosen, end } = parseList(state);
    if (kind === "range") state.ranges -= 1;
    if (end === undefined) throw fault(source, `this ${kind} has no end`);
    if (end.word === "end") return { kind, pipe, chosen, otherwise: [], source };
    const chained = end.rest.isDone() ? undefined : end.rest.word();
    if (chained === undefined) {
      end.rest.finish();
      return { kind, pipe, chosen, otherwise: body(state, source, kind), source };
    }
    if (kind === "range" || chained !== kind)
      throw fault(
        end.source,
        `after else of ${kind} stands nothing${kind === "range" ? "" : `, or ${kind}`}`,
      );
    // The chained branch takes the end of the whole.
    const other = parseBranch(state, { kind, reader: end.rest, source: end.source });
    return { kind, pipe, chosen, otherwise: [other], source };
  });
}

const keywords = new Set([
  "if",
  "with",
  "range",
  "define",
  "block",
  "template",
  "else",
  "end",
  "break",
  "continue",
]);

class Reader {
  readonly #tokens: readonly Token[];
  readonly #source: string;
  readonly #refuses: ParseOptions["refuses"];
  #next = 0;
  #depth = 0;

  constructor({ tokens, source }: Action, { refuses }: Pick<State, "refuses">) {
    this.#tokens = tokens;
    this.#source = source;
    this.#refuses = refuses;
  }

  /** A keyword, taken; undefined when something else is next. */
  word(): string | undefined {
    const token = this.#tokens[this.#next];
    if (token?.kind !== "word" || !keywords.has(token.text)) return undefined;
    this.#next += 1;
    return token.text;
  }

  text(of: string): string {
    const token = this.#tokens[this.#next];
    if (token?.kind !== "string") throw fault(this.#source, `${of} is followed by a name in quotes`);
    this.#next += 1;
    return token.value as string;
  }

  isDone(): boolean {
    return this.#next >= this.#tokens.length;
  }

  finish(): void {
    if (!this.isDone()) throw this.#unexpected();
  }

  pipe({ isRange = false }: { readonly isRange?: boolean } = {}): Pipe {
    const { names, assigns } = this.#declared(isRange);
    const commands = [this.#command()];
    while (this.#takes("|")) {
      const command = this.#command();
      const [first] = command;
      if (first?.kind === "literal" || first?.kind === "dot")
        throw fault(this.#source, "what stands after | is no function");
      commands.push(command);
    }
    return { names, assigns, commands };
  }

  #declared(isRange: boolean): { readonly names: readonly string[]; readonly assigns: boolean } {
    const start = this.#next;
    const names: string[] = [];
    for (;;) {
      const token = this.#tokens[this.#next];
      if (token?.kind !== "variable" || token.text === "") break;
      names.push(token.text);
      this.#next += 1;
      if (this.#takes(":=")) return { names, assigns: false };
      if (this.#takes("=")) return { names, assigns: true };
      if (!isRange || names.length > 1 || !this.#takes(",")) break;
    }
    this.#next = start;
    return { names: [], assigns: false };
  }

  #takes(sign: string): boolean {
    const token = this.#tokens[this.#next];
    if (token?.kind !== "sign" || token.text !== sign) return false;
    this.#next += 1;
    return true;
  }

  #command(): Command {
    const operands: Operand[] = [];
    for (;;) {
      const operand = this.#operand();
      if (operand === undefined) break;
      operands.push(operand);
    }
    if (operands.length === 0) {
      if (!this.isDone()) throw this.#unexpected();
      throw fault(this.#source, "a value is missing");
    }
    return operands;
  }

  #operand(): Operand | undefined {
    const token = this.#tokens[this.#next];
    if (token === undefined) return undefined;
    const simple = this.#simple(token);
    if (simple === undefined) return undefined;
    const path: string[] = [];
    for (;;) {
      const next = this.#tokens[this.#next];
      if (next?.kind !== "field" || !next.glued) break;
      path.push(next.text);
      this.#next += 1;
    }
    if (path.length === 0) return simple;
    if (simple.kind === "literal" || simple.kind === "function")
      throw fault(
        this.#source,
        `.${path[0]} stands after something that has no fields; put it in parentheses`,
      );
    return simple.kind === "fields"
      ? { ...simple, path: [...simple.path, ...path] }
      : { kind: "fields", of: simple, path };
  }

  #simple(token: Token): Operand | undefined {
    if (token.kind === "sign") {
      if (token.text === ".") {
        this.#next += 1;
        return { kind: "dot" };
      }
      return token.text === "(" ? this.#inParentheses() : undefined;
    }
    this.#next += 1;
    if ("value" in token) return { kind: "literal", value: token.value };
    if (token.kind === "field") return { kind: "fields", of: { kind: "dot" }, path: [token.text] };
    if (token.kind === "variable") return { kind: "variable", name: token.text };
    return this.#named(token.text);
  }

  #inParentheses(): Operand {
    this.#next += 1;
    this.#depth += 1;
    if (this.#depth > TEMPLATE_DEPTH_MAX)
      throw fault(this.#source, `parentheses stand ${TEMPLATE_DEPTH_MAX} deep, which is the most`);
    const pipe = this.pipe();
    if (!this.#takes(")")) throw this.isDone() ? fault(this.#source, "a ) is missing") : this.#unexpected();
    this.#depth -= 1;
    return { kind: "pipe", pipe };
  }

  #named(name: string): Operand {
    if (name === "true" || name === "false") return { kind: "literal", value: name === "true" };
    if (name === "nil") return { kind: "literal", value: null };
    const why = keywords.has(name) ? `${name} cannot stand here` : this.#refuses(name);
    if (why !== undefined) throw fault(this.#source, why);
    return { kind: "function", name };
  }

  #unexpected(): Error {
    const token = this.#tokens[this.#next] as Token;
    const text = "value" in token ? JSON.stringify(token.value) : token.text;
    return fault(this.#source, `unexpected ${text}`);
  }
}
