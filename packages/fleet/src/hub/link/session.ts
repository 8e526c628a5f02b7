import { clusters } from "@cortado/kinds/fleet";
import { hasReason, StatusError, toStatusError } from "@cortado/std/status";
import { decodeFrame } from "../../protocol/frames.ts";
import { PROTOCOL, type FromAgent, type Hello, type HubLink, type Status } from "../../protocol/protocol.ts";
import { Streams } from "../../protocol/streams.ts";
import { audit } from "../audit.ts";
import type { Core } from "../core.ts";
import {
  HELLO_MS,
  INLINE_BYTES_MAX,
  REPORTS_MAX,
  ROLLOUT_EVERY_MS,
  STORM_SLEEP_MS,
  WELCOMES_MAX,
} from "../limits.ts";
import type { PeerIdentity } from "../ports.ts";
import type { Connected, StoreRow } from "../state/stores.ts";
import { withCondition } from "../status/summary.ts";
import { toldBundle } from "../reach/told-bundle.ts";
import type { Needs } from "../rollouts/needs.ts";
import { AskedValues } from "./asked-values.ts";
import { ChunkSender } from "./chunk-sender.ts";
import { desiredFor, type DesiredPorts } from "./desired.ts";
import { shortId, toReport, toRow } from "./reports.ts";

export type SessionPorts = DesiredPorts & {
  /** What stores are to tell of their own ConfigMaps and Secrets. */
  readonly needs: () => Needs;
  /** How many stores have said hello and were not welcomed yet. */
  readonly welcomes: { waiting: number };
  /** The store was silent until now. */
  readonly woke: (row: StoreRow) => void;
};

/** Serves one connection of a store until it ends. Never rejects for what the store does: that is refused by name. */
export async function serveSession(
  link: HubLink,
  identity: PeerIdentity,
  ports: SessionPorts,
): Promise<void> {
  await using session = new Session(link, identity, ports);
  try {
    await session.run();
  } catch (error) {
    const { reason, code, message } = toStatusError(error);
    const { namespace, name } = identity.cluster;
    const about = { cluster: `${namespace}/${name}`, remote: identity.remote, reason, code, why: message };
    audit(ports.core.ports, "connection refused", about);
    await link.send({ type: "refusal", reason, message }).catch(() => undefined);
  }
}

class Session implements AsyncDisposable {
  readonly #link: HubLink;
  readonly #identity: PeerIdentity;
  readonly #ports: SessionPorts;
  readonly #core: Core;
  readonly #chunks: ChunkSender;
  readonly #asked: AskedValues;
  readonly #streams: Streams;
  #row: StoreRow | undefined;
  #connected: Connected | undefined;
  #told = 0;
  #has: Readonly<Record<string, string>> = {};
  #isTelling = false;
  #isStale = false;
  #failure: unknown;

  constructor(link: HubLink, identity: PeerIdentity, ports: SessionPorts) {
    this.#link = link;
    this.#identity = identity;
    this.#ports = ports;
    this.#core = ports.core;
    this.#chunks = new ChunkSender({ core: ports.core, link, remote: identity.remote });
    this.#asked = new AskedValues({ core: ports.core, link, needs: ports.needs });
    this.#streams = new Streams({
      carrier: link,
      sayOpen: (message) => link.send(message),
      remote: `store ${identity.cluster.name}`,
    });
  }

  async run(): Promise<void> {
    const row = this.#admit();
    const { clock } = this.#core.ports;
    using _patience = clock.after(HELLO_MS, () => {
      if (this.#row === undefined)
        this.#fail(new StatusError("Timeout", `no hello came within ${HELLO_MS / 1_000} s`));
    });
    for await (const message of this.#link.messages()) {
      if (this.#core.stores.get(row.key) !== row)
        throw new StatusError("Forbidden", `cluster ${row.key} was deleted; register the store again`);
      if (message instanceof Uint8Array) await this.#takeBytes(message);
      else if (this.#row === undefined) {
        if (message.type !== "hello")
          throw new StatusError("BadRequest", `the first message is a hello, not ${message.type}`);
        if (!(await this.#hello(row, message))) return;
      } else await this.#take(this.#row, message);
    }
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const row = this.#row;
    if (row !== undefined && row.connected === this.#connected) {
      this.#core.stores.setConnected(row, undefined);
      row.values?.forgetTexts();
    }
    this.#streams[Symbol.dispose]();
    await this.#link[Symbol.asyncDispose]();
  }

  async #takeBytes(message: Uint8Array): Promise<void> {
    if (this.#row !== undefined) this.#hear(this.#row);
    const frame = decodeFrame(message);
    if (frame.kind === "beat") return await this.#link.sendBytes(message);
    if (frame.kind !== "stream") throw new StatusError("BadRequest", "a store sends no chunks");
    this.#streams.takeBytes(frame.stream, frame.bytes);
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    void this.#link[Symbol.asyncDispose]();
  }

  /** @throws StatusError when the peer is none of ours, or no longer */
  #admit(): StoreRow {
    const { cluster, keySha256: presented, isExpired } = this.#identity;
    const key = `${cluster.namespace}/${cluster.name}`;
    const row = this.#core.stores.get(key);
    if (row === undefined)
      throw new StatusError("Forbidden", `cluster ${key} is not known here; register the store again`);
    if (row.isRevoked) throw new StatusError("Forbidden", `cluster ${key} was revoked; ask who runs the hub`);
    if (row.keySha256 !== presented)
      throw new StatusError("Forbidden", `the key is not that of cluster ${key}; register the store again`);
    if (isExpired)
      throw new StatusError("Unauthorized", `the certificate of cluster ${key} has ended; renew it`);
    return row;
  }

  /** Answers whether the store may stay. */
  async #hello(row: StoreRow, hello: Hello): Promise<boolean> {
    checkHello(hello);
    const { options } = this.#core;
    if (row.connected === undefined && this.#core.stores.connectedCount >= options.maxHeld) {
      this.#hear(row);
      await this.#link.send({ type: "sleep", ms: options.sleepMs });
      return false;
    }
    const { welcomes } = this.#ports;
    // Who waited too long would hang up, and all that was done for it would have been for nothing.
    if (welcomes.waiting >= WELCOMES_MAX) {
      const ms = STORM_SLEEP_MS + this.#core.ports.random.integer(STORM_SLEEP_MS);
      await this.#link.send({ type: "sleep", ms });
      return false;
    }
    welcomes.waiting += 1;
    const session = await this.#turnWord(row, hello).finally(() => (welcomes.waiting -= 1));
    await row.connected?.refuse("Conflict", "another connection of this store took over");
    this.#row = row;
    row.knows = this.#core.shared.tree(hello.knows ?? []);
    this.#told = hello.after;
    this.#has = this.#shared(hello.has);
    this.#connected = {
      link: this.#link,
      openStream: () => this.#streams.open(),
      tellDesired: () => this.#tell(row),
      refuse: async (reason, message) => {
        await this.#link
          .send({ type: "refusal", reason: reason as "Forbidden", message })
          .catch(() => undefined);
        await this.#link[Symbol.asyncDispose]();
      },
    };
    this.#core.stores.setConnected(row, this.#connected);
    this.#hear(row);
    const { heartbeatMs } = options;
    await this.#link.send({ type: "welcome", session, cluster: row.cluster, heartbeatMs });
    this.#tell(row);
    return true;
  }

  /** What thousands of connections say alike. */
  #shared(has: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    return this.#core.shared.tree(has);
  }

  /** The word of the next connection, kept before it is told. @throws StatusError "Conflict" for a store that was copied */
  async #turnWord(row: StoreRow, { session: word, versions }: Hello): Promise<string> {
    const { confirmed = "", offered = "", sequence = 0 } = row.status.session ?? {};
    const isFirst = confirmed === "" && offered === "";
    const { random, clock } = this.#core.ports;
    if (!isFirst && word !== confirmed && word !== offered) {
      const message = `a store with the key of this one came from ${this.#identity.remote} with a session word that is out of date: it is a copy, or was set back; revoke the cluster and register the right store anew`;
      const condition = { type: "Copied", isTrue: true, reason: "OldSession", message };
      const conditions = withCondition(row.status.conditions, condition, clock.nowMs());
      row.status = { ...row.status, conditions };
      await this.#core.writeStore(row, { isUrgent: true });
      throw new StatusError("Conflict", message);
    }
    const next = Buffer.from(random.bytes(16)).toString("hex");
    const kept = word === offered ? offered : confirmed;
    const agent = { ...row.status.agent, version: versions.agent, kubernetes: versions.kubernetes };
    row.status = { ...row.status, agent, session: { confirmed: kept, offered: next, sequence } };
    row.heardSinceMs = clock.nowMs();
    // It is the right one: that it is heard goes along.
    this.#hear(row);
    await this.#core.writeStore(row, { isUrgent: true });
    return next;
  }

  #hear(row: StoreRow): void {
    const { heard, options, ports } = this.#core;
    const nowMs = ports.clock.nowMs();
    if (!heard.hear(row.index, { nowMs, dueMs: nowMs + options.offlineAfterMs })) return;
    row.heardSinceMs = nowMs;
    this.#ports.woke(row);
  }

  async #take(row: StoreRow, message: FromAgent): Promise<void> {
    this.#hear(row);
    switch (message.type) {
      case "ping":
        return await this.#link.send({ type: "pong" });
      case "want":
        return await this.#chunks.give(row, message.chunks);
      case "status":
        return this.#status(row, message);
      case "values":
        return this.#asked.take(row, message);
      case "events":
        return this.#events(row, message.events);
      case "close":
      case "grant":
        return this.#streams.take(message);
      case "hello":
        throw new StatusError("BadRequest", "a hello is said once");
      default:
        // A newer agent may say more than we know.
        return this.#core.ports.log.warn("message of a store is not understood", { cluster: row.key });
    }
  }

  #tell(row: StoreRow): void {
    this.#isStale = true;
    if (this.#isTelling) return;
    this.#isTelling = true;
    void (async () => {
      try {
        while (this.#isStale) {
          this.#isStale = false;
          await this.#tellOnce(row);
        }
      } catch (error) {
        this.#fail(error);
      } finally {
        this.#isTelling = false;
      }
    })();
  }

  async #tellOnce(row: StoreRow): Promise<void> {
    await this.#asked.tell(row);
    const desired = desiredFor(this.#ports, row, this.#told);
    if (desired === undefined) return;
    this.#told = desired.revision;
    await this.#link.send(desired);
    let left = INLINE_BYTES_MAX;
    for (const bundle of desired.bundles)
      for (const sha256 of this.#chunks.lacking(bundle, this.#has[bundle.name] ?? "")) {
        if (left <= 0) return;
        left -= await this.#chunks.offer(sha256);
      }
  }

  /** Takes a status over at once and acknowledges it when it is durable. */
  #status(row: StoreRow, { sequence, bundles }: Status): void {
    const session = row.status.session ?? {};
    const last = session.sequence ?? 0;
    if (!Number.isSafeInteger(sequence) || !Array.isArray(bundles) || bundles.length > REPORTS_MAX)
      throw new StatusError("BadRequest", `a status has a sequence and at most ${REPORTS_MAX} bundles`);
    if (sequence <= last)
      throw new StatusError(
        "Conflict",
        `status ${sequence} is not newer than ${last}, which this store has sent already`,
      );
    const reports = new Map((row.status.reports ?? []).map((report) => [report.bundle, report]));
    const { cells, bundles: index, variants } = this.#core;
    for (const told of bundles) {
      const key = toldBundle(this.#core, row, told.name);
      const number = index.find(key);
      const cell = number === undefined ? 0 : cells.find(row.index, number);
      // A bundle that was taken from the store meanwhile is nobody's business any more.
      if (cell === 0) continue;
      const report = this.#core.shared.tree(toRow(told));
      reports.set(told.name, report);
      const { released } = cells.read(cell);
      const isReleased = shortId(variants.get(released)?.deploymentId ?? "") === report.applied;
      cells.report(cell, toReport(report), isReleased ? released : variants.numberOf(key, report.applied));
      this.#core.lookAtBundle(key, ROLLOUT_EVERY_MS);
    }
    row.status = { ...row.status, session: { ...session, sequence }, reports: [...reports.values()] };
    const has = Object.fromEntries(bundles.map((one) => [one.name, one.appliedId]));
    this.#has = this.#shared({ ...this.#has, ...has });
    this.#core
      .writeStore(row)
      .then(() => this.#link.send({ type: "statusAck", sequence }))
      .catch(() => undefined);
  }

  #events(row: StoreRow, events: readonly unknown[]): void {
    const { ports } = this.#core;
    if (!Array.isArray(events)) throw new StatusError("BadRequest", "events are a list");
    ports
      .takeEvents(row.cluster, events)
      .then((through) => this.#link.send({ type: "eventsAck", through }))
      .catch((error: unknown) => {
        ports.log.warn("events of a store are not taken", { cluster: row.key, kind: clusters.kind, error });
        // Those would never be taken. All others come again, as they are not acknowledged.
        if (hasReason(error, "BadRequest")) this.#fail(error);
      });
  }
}

function checkHello({ protocol, session, after, has, versions }: Hello): void {
  if (protocol !== PROTOCOL)
    throw new StatusError(
      "BadRequest",
      `this hub speaks protocol ${PROTOCOL}, the agent ${protocol}; update the older`,
    );
  const isGood =
    typeof session === "string" && Number.isSafeInteger(after) && isTexts(has) && isTexts(versions);
  if (!isGood) throw new StatusError("BadRequest", "the hello lacks session, after, has or versions");
}

function isTexts(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((text) => typeof text === "string")
  );
}
