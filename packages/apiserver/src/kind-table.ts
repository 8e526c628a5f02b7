import { builtInKinds } from "@cortado/kinds/built-in";
import type { KindInfo } from "@cortado/kinds/kind-info";

export type GroupVersion = { readonly group: string; readonly version: string };

/** Which kinds are served: the built-in ones, and those that CustomResourceDefinitions add and take away while running. */
export class KindTable {
  readonly #byPlural = new Map<string, KindInfo>();
  readonly #extra = new Map<string, readonly KindInfo[]>();
  #generation = 1;

  constructor(kinds: readonly KindInfo[] = builtInKinds) {
    for (const kind of kinds) this.#byPlural.set(pluralKey(kind), kind);
  }

  /** Grows with each change: a cheap way to know that a document made from the table is stale. */
  get generation(): number {
    return this.#generation;
  }

  find(what: GroupVersion & { readonly plural: string }): KindInfo | undefined {
    return this.#byPlural.get(pluralKey(what));
  }

  findKind(what: GroupVersion & { readonly kind: string }): KindInfo | undefined {
    for (const kind of this.#byPlural.values())
      if (kind.group === what.group && kind.version === what.version && kind.kind === what.kind) return kind;
    return undefined;
  }

  all(): readonly KindInfo[] {
    return [...this.#byPlural.values()];
  }

  /** Sets what a definition serves; none takes it away. */
  define(source: string, kinds: readonly KindInfo[]): void {
    for (const old of this.#extra.get(source) ?? []) this.#byPlural.delete(pluralKey(old));
    if (kinds.length === 0) this.#extra.delete(source);
    else this.#extra.set(source, kinds);
    for (const kind of kinds) this.#byPlural.set(pluralKey(kind), kind);
    this.#generation += 1;
  }
}

function pluralKey({ group, version, plural }: GroupVersion & { readonly plural: string }): string {
  return `${group}/${version}/${plural}`;
}
