import { hash } from "node:crypto";
import { freezeTree } from "@cortado/kinds/tree";
import { SHARED_MAX } from "../limits.ts";

/** Hands out one text, or one tree, for all that are equal: what ten thousand stores have in common is held once. */
export class Shared {
  readonly #texts: Map<string, string> = new Map();
  readonly #trees: Map<string, unknown> = new Map();

  text<Text extends string>(text: Text): Text {
    const known = this.#texts.get(text);
    if (known !== undefined) return known as Text;
    // A full table begins anew: what is shared stays shared, and later texts find each other again.
    if (this.#texts.size >= SHARED_MAX) this.#texts.clear();
    this.#texts.set(text, text);
    return text;
  }

  /** Frozen, and the same object for the same JSON. */
  tree<Value>(tree: Value): Value {
    if (tree === undefined) return tree;
    // Its sum: texts of trees would be most of what is held here.
    const sum = hash("sha256", JSON.stringify(tree), "base64");
    const known = this.#trees.get(sum);
    if (known !== undefined) return known as Value;
    if (this.#trees.size >= SHARED_MAX) this.#trees.clear();
    const shared = freezeTree(structuredClone(tree));
    this.#trees.set(sum, shared);
    return shared;
  }

  /** A list whose items are shared, and itself where all of them are equal in order; frozen. */
  list<Item>(list: readonly Item[]): Item[] {
    const sum = hash("sha256", `list ${JSON.stringify(list)}`, "base64");
    const known = this.#trees.get(sum) as Item[] | undefined;
    if (known !== undefined) return known;
    const shared = list.map((item) => this.tree(item));
    Object.freeze(shared);
    if (this.#trees.size >= SHARED_MAX) this.#trees.clear();
    this.#trees.set(sum, shared);
    return shared;
  }
}
