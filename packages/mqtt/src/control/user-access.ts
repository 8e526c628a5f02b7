import { timingSafeEqual, createHash } from "node:crypto";
import type { Access, Credentials } from "../broker/access.ts";
import type { Random } from "@cortado/std/random";
import {
  isVerifierText,
  makeVerifier,
  passwordMatches,
  readVerifier,
  SALT_BYTES,
  type ScramVerifier,
} from "../auth/verifier.ts";
import { allowsFilter, allowsTopic, globMatches, type AclRule } from "./acl.ts";

/** Somebody whom the broker knows. */
export type KnownUser = {
  readonly user: string;
  /** The password or, so that nobody has to keep it, its SCRAM verifier. Absent: none lets him in. */
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
  readonly #random: Random;
  /** By user, made of the password that is beside it. */
  readonly #verifiers: Map<string, { readonly password: string; readonly made: Promise<ScramVerifier> }> =
    new Map();
  #users: ReadonlyMap<string, KnownUser> = new Map();
  #isOpen = true;
  readonly #known: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Sets who there is; answers whose connections are to end, as what they may do has changed. `isOpen`: nobody is configured. */
  replace(users: readonly KnownUser[], { isOpen }: { readonly isOpen: boolean }): ReadonlySet<string> {
    const next = new Map(users.map((one) => [one.user, one]));
    const changed = new Set<string>();
    for (const [user, old] of this.#users)
      if (JSON.stringify(old) !== JSON.stringify(next.get(user))) changed.add(user);
    if (this.#isOpen && !isOpen) changed.add("");
    this.#users = next;
    for (const user of this.#verifiers.keys()) if (!next.has(user)) this.#verifiers.delete(user);
    this.#isOpen = isOpen;
    this.#known.resolve();
    return changed;
  }

  /** Waits until it is known who there is: a broker that has just started lets nobody in by mistake. */
  async authenticate(credentials: Credentials): Promise<{ readonly user: string } | undefined> {
    await this.#known.promise;
    if (this.#isOpen) return { user: "" };
    const found = await this.#find(credentials);
    return found !== undefined && mayHave(found, credentials.clientId) ? { user: found.user } : undefined;
  }

  /** For clients that show that they know the password and do not say it. */
  async scramVerifierOf(client: {
    readonly user: string;
    readonly clientId: string;
  }): Promise<ScramVerifier | undefined> {
    await this.#known.promise;
    const found = this.#users.get(client.user);
    if (found?.password === undefined || !mayHave(found, client.clientId)) return undefined;
    const { user, password } = found;
    if (isVerifierText(password)) return readVerifier(password);
    const kept = this.#verifiers.get(user);
    if (kept?.password === password) return kept.made;
    const made = makeVerifier(password, { salt: this.#random.bytes(SALT_BYTES) });
    this.#verifiers.set(user, { password, made });
    return made;
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

  async #find({ username, password, certificate }: Credentials): Promise<KnownUser | undefined> {
    const all = [...this.#users.values()];
    const shown = certificate?.commonName;
    if (username === undefined && password === undefined)
      return (
        all.find((one) => shown !== undefined && one.certificateName === shown) ??
        all.find(({ anonymous }) => anonymous)
      );
    const named = this.#users.get(username ?? "");
    if (named?.password === undefined || password === undefined) return undefined;
    const isRight = isVerifierText(named.password)
      ? await passwordMatches(readVerifier(named.password), password)
      : isSame(new TextEncoder().encode(named.password), password);
    return isRight ? named : undefined;
  }
}

function mayHave({ clientIds }: KnownUser, clientId: string): boolean {
  return clientIds === undefined || clientIds.some((one) => globMatches(one, clientId));
}

// Of equal length, so that neither content nor length shows in the time that it takes.
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  const digest = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
  return timingSafeEqual(digest(one), digest(other));
}
