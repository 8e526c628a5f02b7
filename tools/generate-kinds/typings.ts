export type MutableSchema = { [key: string]: unknown };
export type Described = {
  readonly schema: MutableSchema;
  readonly descriptions: Record<string, string>;
  readonly own: string;
};

/** Reads one interface of kubernetes-models' typings into a schema; references stay aliases until all names are known. */
export class TypingReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  static read(text: string): Described | undefined {
    const match =
      /(?:\/\*\*([\s\S]*?)\*\/\s*)?export (interface|type) I(\w+)(?: extends [^{]*)?\s*(?:\{|=)/.exec(text);
    if (match === null) return undefined;
    const reader = new TypingReader(text);
    reader.#at = match.index + match[0].length;
    const own = plainComment(match[1] ?? "");
    if (match[2] === "type") return { schema: reader.#type(), descriptions: {}, own };
    return { ...reader.#body(), own };
  }

  #body(): { schema: MutableSchema; descriptions: Record<string, string> } {
    const properties: Record<string, MutableSchema> = {};
    const required: string[] = [];
    const descriptions: Record<string, string> = {};
    for (;;) {
      const comment = this.#match(/\s*\/\*\*([\s\S]*?)\*\//y);
      const member = this.#match(/\s*"([^"]+)"(\?)?:\s*/y);
      if (member === undefined) break;
      const name = member[1] ?? "";
      properties[name] = this.#type();
      this.#match(/\s*;/y);
      if (member[2] === undefined) required.push(name);
      if (comment !== undefined) descriptions[name] = plainComment(comment[1] ?? "");
    }
    const isObject = properties["metadata"] !== undefined && properties["kind"] !== undefined;
    const wanted = required.filter((name) => !isObject || (name !== "apiVersion" && name !== "kind"));
    return {
      schema: { type: "object", properties, ...(wanted.length === 0 ? {} : { required: wanted }) },
      descriptions,
    };
  }

  #type(): MutableSchema {
    const options: MutableSchema[] = [];
    do options.push(this.#single());
    while (this.#match(/\s*\|\s*/y) !== undefined);
    const real = options.filter((option) => option["type"] !== "null");
    const texts = real.filter((option) => "const" in option).map((option) => option["const"]);
    if (texts.length === real.length && texts.length > 0) return { type: "string", enum: texts };
    if (real.length === 1) return real[0] ?? {};
    const types = real.map((option) => option["type"]);
    return types.includes("number") && types.includes("string") ? { "x-kubernetes-int-or-string": true } : {};
  }

  #single(): MutableSchema {
    const list = this.#match(/\s*Array<\s*/y);
    if (list !== undefined) {
      const items = this.#type();
      this.#match(/\s*>/y);
      return { type: "array", items };
    }
    const map = this.#match(/\s*\{\s*\[\w+: string\]:\s*/y);
    if (map !== undefined) {
      const additionalProperties = this.#type();
      this.#match(/\s*;?\s*\}/y);
      return { type: "object", additionalProperties };
    }
    const text = this.#match(/\s*"((?:[^"\\]|\\.)*)"/y);
    if (text !== undefined) return { const: text[1] };
    const word = this.#match(/\s*([\w.]+)(\[\])?/y)?.[1] ?? "";
    if (["string", "number", "boolean", "null"].includes(word)) return { type: word };
    return word.startsWith("I") ? { alias: word } : {};
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match;
  }
}

function plainComment(comment: string): string {
  return comment
    .split("\n")
    .map((line) => line.replace(/^\s*\*? ?/, "").trimEnd())
    .join("\n")
    .trim();
}
