import type { AgentLink, BundleReport, Desired, FromHub } from "@cortado/fleet/protocol";
import { decodeFrame, encodeFrame } from "@cortado/fleet/protocol/frames";

/** Reports of one moment are one message, as the agent's are (its STATUS_DELAY_MS). */
const STATUS_DELAY_MS = 250;

/** What one light store tells who counts. */
export type StoreEvents = {
  readonly connected: () => void;
  readonly ended: () => void;
  /** The hub acknowledged a report of one bundle. */
  readonly acknowledged: () => void;
};

/**
 * A store that speaks the whole protocol and applies nothing: what it gets is Ready at once. It keeps what an agent keeps on its
 * disk (session word, revision, sequence, what is applied) in some hundred bytes.
 */
export class LightStore {
  readonly name: string;
  readonly #events: StoreEvents;
  #session = "";
  #revision = 0;
  #sequence = 0;
  /** Deployment ids by bundle. */
  readonly applied: Map<string, string> = new Map();
  readonly #wanted: Map<string, { readonly id: string; readonly lacking: Set<string> }> = new Map();
  readonly #known: Set<string> = new Set();
  readonly #waiting: Map<string, BundleReport> = new Map();
  #sending: { readonly sequence: number; readonly reports: readonly BundleReport[] } | undefined;
  #link: AgentLink | undefined;
  #isWelcome = false;
  #wasWelcome = false;
  #beat: NodeJS.Timeout | undefined;
  #flush: NodeJS.Timeout | undefined;
  /** Says this of a bundle in place of Ready. */
  readonly trouble: Map<string, string> = new Map();

  constructor(name: string, events: StoreEvents) {
    this.name = name;
    this.#events = events;
  }

  get isConnected(): boolean {
    return this.#link !== undefined;
  }

  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  /** Whether the last connection came to a welcome. */
  get wasWelcome(): boolean {
    return this.#wasWelcome;
  }

  onWelcome: () => void = () => undefined;

  /** Speaks until the connection ends; answers when the hub wants it back, where it said so. */
  async run(link: AgentLink): Promise<number | undefined> {
    this.#link = link;
    this.#wasWelcome = false;
    const versions = { agent: "0.1.0", kubernetes: "v1.36.0" };
    const has = Object.fromEntries(this.applied);
    try {
      await link.send({
        type: "hello",
        protocol: 1,
        session: this.#session,
        after: this.#revision,
        has,
        versions,
      });
      for await (const message of link.messages()) {
        if (message instanceof Uint8Array) this.#takeChunk(message);
        else if (message.type === "sleep") return message.ms;
        else this.#take(message);
      }
      return undefined;
    } finally {
      clearInterval(this.#beat);
      clearTimeout(this.#flush);
      this.#flush = undefined;
      this.#link = undefined;
      // Who was told to sleep was never counted as connected.
      if (this.#isWelcome) this.#events.ended();
      this.#isWelcome = false;
      for (const report of this.#sending?.reports ?? [])
        if (!this.#waiting.has(report.name)) this.#waiting.set(report.name, report);
      this.#sending = undefined;
    }
  }

  async hangUp(): Promise<void> {
    await this.#link?.[Symbol.asyncDispose]();
  }

  /** Tells anew how a bundle is. */
  say(bundle: string, trouble: string): void {
    if (trouble === "") this.trouble.delete(bundle);
    else this.trouble.set(bundle, trouble);
    this.#report(bundle, this.applied.get(bundle) ?? "");
  }

  #take(message: FromHub): void {
    switch (message.type) {
      case "welcome":
        this.#session = message.session;
        this.#isWelcome = true;
        this.#wasWelcome = true;
        this.onWelcome();
        this.#beat = setInterval(() => this.#beatOnce(), message.heartbeatMs);
        this.#say({ type: "ping" });
        if (this.#waiting.size > 0) this.#later();
        return this.#events.connected();
      case "desired":
        return this.#desired(message);
      case "pong":
        return this.#want();
      case "statusAck":
        return this.#acknowledged(message.sequence);
      case "refusal":
        throw new Error(`${this.name} is refused: ${message.reason} ${message.message}`);
      default:
        return undefined;
    }
  }

  #desired(message: Desired): void {
    this.#revision = message.revision;
    if (message.full)
      for (const name of this.applied.keys())
        if (!message.bundles.some((one) => one.name === name)) this.applied.delete(name);
    for (const { name } of message.gone) this.applied.delete(name);
    for (const { name, deploymentId: id, chunks } of message.bundles) {
      const lacking = new Set(chunks.map((one) => one.sha256).filter((sha256) => !this.#known.has(sha256)));
      this.#wanted.set(name, { id, lacking });
      if (lacking.size === 0) this.#apply(name, id);
    }
    this.#say({ type: "ping" });
  }

  #takeChunk(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes);
    if (frame.kind !== "chunk") return;
    this.#known.add(frame.sha256);
    for (const [name, { id, lacking }] of this.#wanted)
      if (lacking.delete(frame.sha256) && lacking.size === 0) this.#apply(name, id);
  }

  #want(): void {
    const chunks = [...new Set([...this.#wanted.values()].flatMap(({ lacking }) => [...lacking]))];
    if (chunks.length > 0) this.#say({ type: "want", chunks });
  }

  #apply(name: string, id: string): void {
    this.#wanted.delete(name);
    if (this.applied.get(name) === id) return;
    this.applied.set(name, id);
    this.#report(name, id);
  }

  #report(name: string, id: string): void {
    const trouble = this.trouble.get(name);
    this.#waiting.set(name, {
      name,
      appliedId: id,
      wantedId: id,
      state: trouble === undefined ? "Ready" : "NotReady",
      message: trouble ?? "",
      counts: {
        desired: 1,
        ready: trouble === undefined ? 1 : 0,
        notReady: trouble === undefined ? 0 : 1,
        modified: 0,
        missing: 0,
      },
      resources: [],
    });
    this.#later();
  }

  #later(): void {
    if (this.#sending !== undefined || this.#link === undefined) return;
    this.#flush ??= setTimeout(() => {
      this.#flush = undefined;
      if (this.#waiting.size === 0) return;
      this.#sequence += 1;
      this.#sending = { sequence: this.#sequence, reports: [...this.#waiting.values()] };
      this.#waiting.clear();
      this.#say({ type: "status", sequence: this.#sequence, bundles: this.#sending.reports });
    }, STATUS_DELAY_MS);
  }

  #acknowledged(sequence: number): void {
    if (this.#sending?.sequence !== sequence) return;
    const { reports } = this.#sending;
    this.#sending = undefined;
    for (const _report of reports) this.#events.acknowledged();
    if (this.#waiting.size > 0) this.#later();
  }

  #beatOnce(): void {
    void this.#link?.sendBytes(encodeFrame({ kind: "beat" })).catch(() => undefined);
  }

  #say(message: Parameters<AgentLink["send"]>[0]): void {
    void this.#link?.send(message).catch(() => undefined);
  }
}
