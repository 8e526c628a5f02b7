import type { Client } from "@cortado/client";
import { secrets } from "@cortado/kinds/resources";
import { hasReason, StatusError } from "@cortado/std/status";
import { SEQUENCE_STEP } from "./limits.ts";

/** What an agent is, across its restarts: Secret `fleet-agent`. */
export type Identity = {
  readonly privateKey: string;
  /** Empty before the first registration. */
  readonly certificate: string;
  /** PEM of who signs the hub's certificates; empty before it was read. */
  readonly authority: string;
  readonly clusterNamespace: string;
  readonly clusterName: string;
  /** The last word that a hub gave. */
  readonly session: string;
  /** Of the last `desired` that is on disk. */
  readonly revision: number;
  /** No status below this number may be sent: an earlier process may have used it. */
  readonly sequence: number;
};

const SECRET = "fleet-agent";

/** The identity on disk and in memory: what `current` says is on disk. */
export class IdentityStore {
  readonly #client: Client;
  readonly #namespace: string;
  readonly #signal: AbortSignal;
  #current: Identity;
  #nextSequence: number;

  private constructor(
    identity: Identity,
    options: { readonly client: Client; readonly namespace: string; readonly signal: AbortSignal },
  ) {
    this.#client = options.client;
    this.#namespace = options.namespace;
    this.#signal = options.signal;
    this.#current = identity;
    this.#nextSequence = identity.sequence;
  }

  /** Reads the identity, or makes one with a new key and writes it: the key is on disk before anybody hears of it. */
  static async open(options: {
    readonly client: Client;
    readonly namespace: string;
    readonly makeKey: () => string;
    readonly signal: AbortSignal;
  }): Promise<IdentityStore> {
    const { client, namespace, signal } = options;
    try {
      const secret = await client.get(secrets, { name: SECRET, namespace, signal });
      return new IdentityStore(readIdentity(secret.data ?? {}), options);
    } catch (error) {
      if (!hasReason(error, "NotFound")) throw error;
    }
    const identity = { ...empty, privateKey: options.makeKey() };
    const metadata = { name: SECRET, namespace };
    await client.create(
      secrets,
      { metadata, type: "fleet.cortado.dev/agent", data: toData(identity) },
      { signal },
    );
    return new IdentityStore(identity, options);
  }

  get current(): Identity {
    return this.#current;
  }

  /** Resolves when it is on disk. */
  async write(change: Partial<Identity>): Promise<void> {
    const body = { data: toData(change) };
    const where = { name: SECRET, namespace: this.#namespace, signal: this.#signal };
    await this.#client.patch(secrets, { ...where, type: "merge", body });
    this.#current = { ...this.#current, ...change };
  }

  /** The next number for a status: greater than any that this store ever used. */
  async nextSequence(): Promise<number> {
    const next = this.#nextSequence + 1;
    if (next > this.#current.sequence) await this.write({ sequence: next + SEQUENCE_STEP });
    this.#nextSequence = next;
    return next;
  }
}

const empty: Identity = {
  privateKey: "",
  certificate: "",
  authority: "",
  clusterNamespace: "",
  clusterName: "",
  session: "",
  revision: 0,
  sequence: 0,
};

function toData(fields: Partial<Identity>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, Buffer.from(String(value)).toString("base64")]),
  );
}

function readIdentity(data: Readonly<Record<string, string>>): Identity {
  const text = (key: keyof Identity): string => Buffer.from(data[key] ?? "", "base64").toString("utf8");
  const count = (key: keyof Identity): number => {
    const value = Number(text(key));
    return Number.isSafeInteger(value) && value >= 0 ? value : 0;
  };
  const privateKey = text("privateKey");
  if (privateKey === "")
    throw new StatusError(
      "Invalid",
      `Secret ${SECRET} has no privateKey, so this store cannot prove who it is; restore the Secret, or delete it to register anew`,
    );
  return {
    privateKey,
    certificate: text("certificate"),
    authority: text("authority"),
    clusterNamespace: text("clusterNamespace"),
    clusterName: text("clusterName"),
    session: text("session"),
    revision: count("revision"),
    sequence: count("sequence"),
  };
}
