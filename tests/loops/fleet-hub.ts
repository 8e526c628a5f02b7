import { createHash, createVerify } from "node:crypto";
import { gzipSync } from "node:zlib";
import { startAgent } from "@cortado/fleet/agent";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import type { Agent, AgentOptions, AgentPorts, ChunkStore, HubDoor, Keys } from "@cortado/fleet/agent/ports";
import type * as say from "@cortado/fleet/protocol";
import { decodeFrame, encodeFrame } from "@cortado/fleet/protocol/frames";
import { Streams } from "@cortado/fleet/protocol/streams";
import { linkPair } from "@cortado/fleet/protocol/memory-link";
import type { Tree } from "@cortado/kinds/tree";
import { seededRandom } from "@cortado/std/random";
import { StatusError } from "@cortado/std/status";
import { silentLog } from "@cortado/std/testing/silent-log";
import type { LoopWorld } from "./world.ts";

export const sha256 = (text: string | Uint8Array): string => createHash("sha256").update(text).digest("hex");
export const authority = "-----BEGIN CERTIFICATE-----\nthe hub's\n-----END CERTIFICATE-----\n";
export const hubToken: string = `K10${sha256(authority)}::fleet:open-sesame`;

/** A hub of one store, told by a test what it wants; it keeps the agent to the protocol and remembers what it heard. */
export class ScriptedHub implements HubDoor {
  readonly heard: (say.FromAgent | Uint8Array)[] = [];
  readonly reports: Map<string, say.BundleReport> = new Map();
  readonly sequences: number[] = [];
  readonly registrations: say.RegisterRequest[] = [];
  readonly events: { readonly sequence: number }[] = [];
  /** What chunks have on their way, by hash; a test may put something else there. */
  readonly content: Map<string, Uint8Array> = new Map();
  isUp = true;
  acknowledges = true;
  renewals = 0;
  certificate = "first";
  dials = 0;
  /** Chunks that were sent because they were asked for. */
  asked = 0;
  link: say.HubLink | undefined;
  authority: string = authority;
  /** Takes every message and answers none, until it is dialled again. */
  isDeaf = false;
  sendsChunks = true;
  /** Into the store's API, of the connection that is there now. */
  streams: Streams | undefined;
  #revision = 0;
  #words = 0;
  #latest: say.Desired | undefined;
  readonly #publicKeys: string[] = [];

  readAuthority(): Promise<string> {
    this.#reach();
    return Promise.resolve(this.authority);
  }

  register(request: say.RegisterRequest): Promise<say.RegisterAnswer> {
    this.#reach();
    this.registrations.push(request);
    const signed = `register\n${request.clientId}\n${sha256(request.token)}`;
    this.#check(request.publicKey, signed, request.proof);
    this.#publicKeys.push(request.publicKey);
    return Promise.resolve({
      cluster: { namespace: "fleet-default", name: request.name ?? "store-1" },
      certificate: this.certificate,
    });
  }

  challenge(): Promise<string> {
    this.#reach();
    return Promise.resolve("riddle");
  }

  renew({ cluster, challenge, proof }: say.RenewRequest): Promise<{ readonly certificate: string }> {
    const signed = `renew\n${cluster.namespace}/${cluster.name}\n${challenge}`;
    this.#check(this.#publicKeys.at(-1) ?? "", signed, proof);
    this.renewals += 1;
    this.certificate = `renewed-${this.renewals}`;
    return Promise.resolve({ certificate: this.certificate });
  }

  dial(credential: { readonly certificate: string }): Promise<say.AgentLink> {
    this.#reach();
    this.dials += 1;
    if (credential.certificate !== this.certificate)
      return Promise.reject(new StatusError("Unauthorized", "the certificate has ended"));
    const { agent, hub } = linkPair();
    this.link = hub;
    this.streams = new Streams({
      carrier: hub,
      sayOpen: (message) => hub.send(message),
      remote: "the store",
    });
    this.isDeaf = false;
    void this.#serve(hub);
    return Promise.resolve(agent);
  }

  /** What the store should have from now on; it is told when it is connected. */
  async want(
    bundles: readonly (Partial<say.DesiredBundle> & { readonly objects?: readonly Tree[] })[],
    more: Partial<say.Desired> = {},
  ): Promise<void> {
    this.#revision += 1;
    this.#latest = {
      type: "desired",
      revision: this.#revision,
      full: true,
      bundles: bundles.map((one) => this.#bundle(one)),
      gone: [],
      ...more,
    };
    await this.#tell();
  }

  /** Ends the connection, as a broken line does. */
  async hangUp(): Promise<void> {
    await this.link?.[Symbol.asyncDispose]();
    this.link = undefined;
  }

  #bundle({ objects = [], ...more }: Partial<say.DesiredBundle> & { readonly objects?: readonly Tree[] }) {
    const chunks = objects.map((object) => {
      const text = JSON.stringify(object);
      const hash = sha256(text);
      if (!this.content.has(hash)) this.content.set(hash, gzipSync(text));
      return { sha256: hash, bytes: text.length };
    });
    const deploymentId = `${sha256(chunks.map((one) => one.sha256).join()).slice(0, 8)}:o`;
    return {
      name: "shop",
      namespace: "fleet-default",
      labels: {},
      deploymentId,
      options: { defaultNamespace: "coffee-shop" },
      dependsOn: [],
      paused: false,
      chunks,
      forceSyncGeneration: 0,
      ...more,
    };
  }

  #reach(): void {
    if (!this.isUp) throw new StatusError("ServiceUnavailable", "the hub does not answer");
  }

  #check(publicKey: string, text: string, proof: string): void {
    if (!createVerify("sha256").update(text).verify(publicKey, proof, "base64"))
      throw new StatusError("Unauthorized", "the proof is not the key's");
  }

  async #tell(): Promise<void> {
    const desired = this.#latest;
    if (this.link === undefined || desired === undefined) return;
    await this.link.send(desired);
    if (this.sendsChunks)
      for (const { chunks } of desired.bundles) for (const one of chunks) await this.#sendChunk(one.sha256);
  }

  async #sendChunk(hash: string): Promise<void> {
    const gzip = this.content.get(hash);
    if (gzip !== undefined) await this.link?.sendBytes(encodeFrame({ kind: "chunk", sha256: hash, gzip }));
    else await this.link?.send({ type: "noChunk", sha256: hash, message: "it was lost" });
  }

  async #serve(link: say.HubLink): Promise<void> {
    const { streams } = this;
    for await (const message of link.messages()) {
      this.heard.push(message);
      if (message instanceof Uint8Array) {
        const frame = decodeFrame(message);
        if (frame.kind === "stream") streams?.takeBytes(frame.stream, frame.bytes);
        else if (frame.kind === "beat" && !this.isDeaf) await link.sendBytes(message);
      } else if (message.type === "close" || message.type === "grant") streams?.take(message);
      if (!(message instanceof Uint8Array) && !this.isDeaf)
        await this.#answer(link, message).catch(() => undefined);
    }
    if (this.link === link) this.link = undefined;
    streams?.[Symbol.dispose]();
  }

  async #answer(link: say.HubLink, message: say.FromAgent): Promise<void> {
    if (message.type === "hello") {
      this.#words += 1;
      const cluster = { namespace: "fleet-default", name: "store-1" };
      await link.send({ type: "welcome", session: `word-${this.#words}`, cluster, heartbeatMs: 20_000 });
      if (message.after < this.#revision) await this.#tell();
    }
    if (message.type === "ping") await link.send({ type: "pong" });
    if (message.type === "want")
      for (const hash of message.chunks) {
        this.asked += 1;
        await this.#sendChunk(hash);
      }
    if (message.type === "status" && this.acknowledges) {
      this.sequences.push(message.sequence);
      for (const report of message.bundles) this.reports.set(report.name, report);
      await link.send({ type: "statusAck", sequence: message.sequence });
    }
    if (message.type === "events" && this.acknowledges) {
      const through = await this.takeEvents(message.events);
      if (through !== undefined) await link.send({ type: "eventsAck", through });
    }
  }

  /** Answers up to where they are safe; undefined: they are not. */
  takeEvents(sent: readonly unknown[]): Promise<number | undefined> {
    const events = sent as { readonly sequence: number }[];
    this.events.push(...events);
    return Promise.resolve(events.at(-1)?.sequence ?? 0);
  }

  /** Of what the agent said, the messages of one type. */
  said<Type extends say.FromAgent["type"]>(type: Type): Extract<say.FromAgent, { type: Type }>[] {
    return this.heard.flatMap((message) =>
      message instanceof Uint8Array || message.type !== type
        ? []
        : [message as Extract<say.FromAgent, { type: Type }>],
    );
  }

  get streamed(): string {
    return this.heard
      .flatMap((message) => (message instanceof Uint8Array ? [decodeFrame(message)] : []))
      .map((frame) => (frame.kind === "stream" ? Buffer.from(frame.bytes).toString() : ""))
      .join("");
  }
}

export class MemoryChunks implements ChunkStore {
  readonly bytes: Map<string, Uint8Array> = new Map();

  read(hash: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.bytes.get(hash));
  }

  put(hash: string, bytes: Uint8Array): Promise<void> {
    this.bytes.set(hash, bytes);
    return Promise.resolve();
  }
}

/** Real keys; the certificates of the scripted hub are words, and hold for a day from the world's start. */
const keys: Keys = {
  ...machineKeys,
  validity: (certificate) =>
    certificate === "old"
      ? { fromMs: 0, untilMs: 1 }
      : { fromMs: Date.UTC(2026, 0, 1), untilMs: Date.UTC(2026, 0, 2) },
};

export function agentOf(
  world: LoopWorld,
  hub: HubDoor,
  more: Partial<AgentPorts> & { readonly options?: Partial<AgentOptions> } = {},
): Agent {
  const { options, ...ports } = more;
  return startAgent(
    { version: "1.0.0", token: hubToken, labels: { location: "edge" }, ...options },
    {
      client: world.client,
      hub,
      keys,
      chunks: new MemoryChunks(),
      clock: world.clock,
      random: seededRandom(3),
      log: silentLog,
      ...ports,
    },
  );
}
