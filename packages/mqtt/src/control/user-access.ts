import { timingSafeEqual, createHash } from "node:crypto";
import type { Access, Credentials } from "../broker/access.ts";
import { allowsFilter, allowsTopic, globMatches, type AclRule } from "./acl.ts";

/** Somebody whom the broker knows. */
export type KnownUser = {
  readonly user: string;
  /** Absent: no password lets him in. */
  readonly password?: string;
  readonly certificateName?: string;
  readonly anonymous: boolean;
  readonly clientIds?: readonly string[];
  readonly rules: readonly AclRule[];
};

/**
 * Who is let in and what he may do, as it is configured now. While nobody is configured everybody is let in, under no name, and may do
 * everything: a store begins so.
 */
export class UserAccess {
  #users: ReadonlyMap<string, KnownUser> = new Map();
  #isOpen = true;
  readonly #known: PromiseWithResolvers<void> = Promise.withResolvers();

  /** Sets who there is; answers whose connections are to end, as what they may do has changed. `isOpen`: nobody is configured. */
  replace(users: readonly KnownUser[], { isOpen }: { readonly isOpen: boolean }): ReadonlySet<string> {
    const next = new Map(users.map((one) => [one.user, one]));
    const changed = new Set<string>();
    for (const [user, old] of this.#users)
      if (JSON.stringify(old) !== JSON.stringify(next.get(user))) changed.add(user);
    if (this.#isOpen && !isOpen) changed.add("");
    this.#users = next;
    this.#isOpen = isOpen;
    this.#known.resolve();
    return changed;
  }

  /** Waits until it is known who there is: a broker that has just started lets nobody in by mistake. */
  async authenticate(credentials: Credentials): Promise<{ readonly user: string } | undefined> {
    await this.#known.promise;
    if (this.#isOpen) return { user: "" };
    const found = this.#find(credentials);
    if (found === undefined) return undefined;
    const { clientIds, user } = found;
    const mayHave =
      clientIds === undefined || clientIds.some((one) => globMatches(one, credentials.clientId));
    return mayHave ? { user } : undefined;
  }

  authorize({ user, clientId, action, topic }: Access): boolean {
    if (this.#isOpen) return true;
    // A bridge tells whether it is connected, under its own name and no other.
    if (action === "publish" && topic === `$SYS/broker/connection/${clientId}/state`) return true;
    const rules = this.#users.get(user)?.rules ?? [];
    return action === "publish"
      ? allowsTopic(rules, { user, clientId, access: "write", topic })
      : allowsFilter(rules, { user, clientId, filter: topic });
  }

  /** Whether a session gets a message. One of nobody that is configured is not connected, or is the store's own. */
  mayRead({ user, clientId }: { readonly user: string; readonly clientId: string }, topic: string): boolean {
    const known = this.#users.get(user);
    return known === undefined || allowsTopic(known.rules, { user, clientId, access: "read", topic });
  }

  #find({ username, password, certificate }: Credentials): KnownUser | undefined {
    const all = [...this.#users.values()];
    const shown = certificate?.commonName;
    if (username === undefined && password === undefined)
      return (
        all.find((one) => shown !== undefined && one.certificateName === shown) ??
        all.find(({ anonymous }) => anonymous)
      );
    const named = this.#users.get(username ?? "");
    if (named?.password === undefined || password === undefined) return undefined;
    return isSame(new TextEncoder().encode(named.password), password) ? named : undefined;
  }
}

// Of equal length, so that neither content nor length shows in the time that it takes.
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  const digest = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
  return timingSafeEqual(digest(one), digest(other));
}
