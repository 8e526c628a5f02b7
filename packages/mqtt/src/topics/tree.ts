import { KNOWN_TOPIC_LENGTH_MAX, TOPICS_KNOWN_MAX } from "../limits.ts";
import { mergedGrants, type Grant } from "../session/grant.ts";

type Node<Owner> = {
  children: Map<string, Node<Owner>> | undefined;
  plus: Node<Owner> | undefined;
  /** Who ends here. */
  here: Map<Owner, Grant> | undefined;
  /** Who has "#" below here. */
  hash: Map<Owner, Grant> | undefined;
};

const nobody = new Map<never, Grant>();

/**
 * Subscriptions by level. An empty level is a level: "/a" has two, and nothing here ever drops one.
 */
export class SubscriptionTree<Owner> {
  readonly #root: Node<Owner> = newNode();
  #size = 0;
  /** Who was found for topics that came lately, until a subscription comes or goes: most topics come again and again. */
  readonly #lately: Map<string, ReadonlyMap<Owner, Grant>> = new Map();

  get size(): number {
    return this.#size;
  }

  add(filter: string, { owner, grant }: { readonly owner: Owner; readonly grant: Grant }): void {
    this.#lately.clear();
    const levels = filter.split("/");
    const last = levels.at(-1) === "#" ? levels.pop() : undefined;
    let node = this.#root;
    for (const level of levels) node = level === "+" ? (node.plus ??= newNode()) : child(node, level);
    const owners = last === "#" ? (node.hash ??= new Map()) : (node.here ??= new Map());
    if (!owners.has(owner)) this.#size += 1;
    owners.set(owner, grant);
  }

  remove(filter: string, owner: Owner): void {
    this.#lately.clear();
    const levels = filter.split("/");
    const last = levels.at(-1) === "#" ? levels.pop() : undefined;
    const way: { readonly node: Node<Owner>; readonly level: string }[] = [];
    let node: Node<Owner> | undefined = this.#root;
    for (const level of levels) {
      way.push({ node, level });
      node = level === "+" ? node.plus : node.children?.get(level);
      if (node === undefined) return;
    }
    const owners = last === "#" ? node.hash : node.here;
    if (owners?.delete(owner) !== true) return;
    this.#size -= 1;
    if (owners.size === 0) {
      if (last === "#") node.hash = undefined;
      else node.here = undefined;
    }
    // Empty branches go, or a client that subscribes to ever new topics would fill the memory.
    for (const step of way.reverse()) {
      if (!isEmpty(node)) return;
      if (step.level === "+") step.node.plus = undefined;
      else step.node.children?.delete(step.level);
      if (step.node.children?.size === 0) step.node.children = undefined;
      node = step.node;
    }
  }

  /**
   * Each owner once, with the terms of all its filters that match. With a publisher, its subscriptions that ask for no local are
   * left out of the merging; one that stands alone is in the answer and is the caller's to see. The map must not be changed.
   */
  match(topic: string, publisher?: Owner): ReadonlyMap<Owner, Grant> {
    const known = this.#lately.get(topic);
    if (known !== undefined) return known;
    const found: Map<Owner, Grant>[] = [];
    collect(this.#root, { levels: topic.split("/"), at: 0, found });
    const [first = nobody, second] = found;
    if (second === undefined) {
      if (topic.length > KNOWN_TOPIC_LENGTH_MAX) return first;
      if (this.#lately.size >= TOPICS_KNOWN_MAX) this.#lately.clear();
      this.#lately.set(topic, first);
      return first;
    }
    const all = new Map<Owner, Grant>();
    for (const owners of found)
      for (const [owner, grant] of owners) {
        if (grant.noLocal && owner === publisher) continue;
        const known = all.get(owner);
        all.set(owner, known === undefined ? grant : mergedGrants(known, grant));
      }
    return all;
  }
}

type Walk<Owner> = {
  readonly levels: readonly string[];
  readonly at: number;
  readonly found: Map<Owner, Grant>[];
};

function collect<Owner>(node: Node<Owner>, { levels, at, found }: Walk<Owner>): void {
  // A topic that begins with $ is the server's own: no wildcard at the front reaches it (MQTT 3.1.1, section 4.7.2).
  const wild = at > 0 || levels[0]?.startsWith("$") !== true;
  if (wild && node.hash !== undefined) found.push(node.hash);
  if (at === levels.length) {
    if (node.here !== undefined) found.push(node.here);
    return;
  }
  const next = node.children?.get(levels[at] ?? "");
  if (next !== undefined) collect(next, { levels, at: at + 1, found });
  if (wild && node.plus !== undefined) collect(node.plus, { levels, at: at + 1, found });
}

function child<Owner>(node: Node<Owner>, level: string): Node<Owner> {
  node.children ??= new Map();
  let next = node.children.get(level);
  if (next === undefined) node.children.set(level, (next = newNode()));
  return next;
}

function newNode<Owner>(): Node<Owner> {
  return { children: undefined, plus: undefined, here: undefined, hash: undefined };
}

function isEmpty<Owner>({ children, plus, here, hash }: Node<Owner>): boolean {
  return children === undefined && plus === undefined && here === undefined && hash === undefined;
}
