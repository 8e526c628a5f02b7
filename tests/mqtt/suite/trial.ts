import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "./client.ts";
import { connect, type ConnectOptions, type Level, type Part } from "./bytes.ts";
import type { Connack } from "./frames.ts";

export type Target = {
  readonly host: string;
  readonly port: number;
  /** `ws://HOST:PORT/PATH`; absent: its statements are left out, aloud. */
  readonly webSocket?: string;
  /** A user who may prove itself by SCRAM-SHA-256. */
  readonly scram?: { readonly username: string; readonly password: string };
};

/** A numbered statement of the OASIS text: what shows it on a server, or why nothing can. */
export type Statement = {
  /** As in the text, without "MQTT-". */
  readonly number: string;
  /** In our words. */
  readonly says: string;
} & (
  | { readonly test: (trial: Trial) => Promise<void> }
  /** It binds the client, or is of a kind that no server can be seen to break. */
  | { readonly why: string }
);

/** Thrown by a test of something that this server says it does not do, as it may. */
export class Inapplicable extends Error {}

/** What a test works with: connections that are closed behind it, and names that no other test uses. */
export class Trial implements AsyncDisposable {
  readonly target: Target;
  readonly level: Level;
  readonly #name: string;
  readonly #clients: Client[] = [];
  readonly #sessions: Set<string> = new Set();

  constructor(target: Target, { level, name }: { readonly level: Level; readonly name: string }) {
    this.target = target;
    this.level = level;
    this.#name = name;
  }

  id(word = ""): string {
    return `${this.#name}${word}`;
  }

  topic(rest = "t"): string {
    return `statements/${this.#name}/${rest}`;
  }

  async dial(level: Level = this.level): Promise<Client> {
    const client = await Client.dial(this.target, level);
    this.#clients.push(client);
    return client;
  }

  /** A connection that is accepted. */
  async client(
    word = "",
    { acks = true, ...options }: Partial<ConnectOptions> & { readonly acks?: boolean } = {},
  ): Promise<Client> {
    const { client } = await this.welcomed(word, { acks, ...options });
    return client;
  }

  /** The same, with what CONNACK said. */
  async welcomed(
    word = "",
    { acks = true, ...options }: Partial<ConnectOptions> & { readonly acks?: boolean } = {},
  ): Promise<{ readonly client: Client; readonly connack: Connack }> {
    const client = await this.dial();
    client.acks = acks;
    const clientId = this.id(word);
    if (options.clean === false || this.level === 5) this.#sessions.add(clientId);
    const connack = await client.connect({ clientId, ...options });
    if (connack.code !== 0) throw new Error(`CONNACK says ${connack.code}`);
    return { client, connack };
  }

  /** A connection that subscribes to all of this test's topics. */
  async watcher(qos = 2): Promise<Client> {
    const client = await this.client("watcher");
    await client.subscribe([this.topic("#"), qos]);
    return client;
  }

  /** The server closes a connection on which this is said first, and does not welcome it. */
  async refusesFirst(...packets: readonly Uint8Array[]): Promise<void> {
    const client = await this.dial();
    client.send(...packets);
    await client.closed();
    const [connack] = client.waiting("connack");
    if (connack !== undefined && connack.body[1] === 0) throw new Error("CONNACK welcomes it");
  }

  /** It closes one on which this is said after CONNECT, and in MQTT 5 says why, if it says anything. */
  async refuses(packet: Uint8Array, codes?: readonly number[]): Promise<void> {
    const client = await this.client(`bad${Math.floor(performance.now() * 1_000) % 1_000_000}`);
    client.send(packet);
    const said = await client.closed();
    if (said !== undefined && codes !== undefined && !codes.includes(said.code))
      throw new Error(`DISCONNECT says 0x${said.code.toString(16)}`);
  }

  async pause(ms: number): Promise<void> {
    await sleep(ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]();
    // Sessions outlive connections; the next run against the same server would find them.
    for (const clientId of this.#sessions) {
      await using client = await Client.dial(this.target, 4);
      client.send(connect({ clientId, clean: true }));
      await client.connack().catch(() => undefined);
    }
  }
}

/** For statements that say the same of several packets. */
export const each = async (list: readonly (() => Promise<void>)[]): Promise<void> => {
  for (const one of list) await one();
};

export const ill: Part = Uint8Array.of(0xc3, 0x28);
export const surrogate: Uint8Array = Uint8Array.of(0xed, 0xa0, 0x80);
