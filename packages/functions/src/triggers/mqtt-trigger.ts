import type { MqttMessage } from "@cortado/mqtt/client";
import type { Files } from "@cortado/std/files";
import { topicFilterFault } from "@cortado/wire/mqtt";
import type { Addressee } from "../dead-letters/dead-letters.ts";
import { Deliveries, type DeliveriesOptions, type TriggerCounts } from "./deliveries.ts";
import { FunctionSession, type SessionHost } from "./function-session.ts";
import { isTaken, oldFilters, OldSession } from "./old-session.ts";
import { SessionsFile } from "./sessions-file.ts";

export type MqttTriggerOptions = DeliveriesOptions &
  Pick<SessionHost, "dial"> & {
    readonly files: Files;
    readonly folder: string;
  };

type Key = string;
type Came = { readonly message: MqttMessage; readonly signal: AbortSignal };

/**
 * Calls functions for messages, at least once: each function has a durable session at the broker, and a message is acknowledged
 * there when the function has answered well, or has failed so often that the message lies durably as a dead letter.
 */
export class MqttTrigger implements AsyncDisposable {
  readonly #options: MqttTriggerOptions;
  readonly #stop: AbortController = new AbortController();
  readonly #deliveries: Deliveries;
  readonly #sessions: Map<Key, FunctionSession> = new Map();
  readonly #running: Set<Promise<void>> = new Set();
  #file: SessionsFile | undefined;
  /** Of functions, until it is known what the old session has of them; undefined when that is known. */
  #held: (() => void)[] | undefined;
  /** The old session gets what is published too. */
  #isDoubled = false;

  constructor(options: MqttTriggerOptions) {
    this.#options = options;
    this.#deliveries = new Deliveries(options);
  }

  get counts(): Readonly<TriggerCounts> {
    return this.#deliveries.counts;
  }

  /** Connects. Only when the functions are known: a message for one that is not would be acknowledged for nobody. */
  async start(): Promise<void> {
    const { files, folder } = this.#options;
    const file = await SessionsFile.open({ ...this.#options, signal: this.#stop.signal });
    const old = await oldFilters(files, folder);
    if (this.#stop.signal.aborted) return;
    this.#file = file;
    if (old === undefined) {
      void this.update();
      return;
    }
    this.#held = [];
    this.#isDoubled = true;
    void this.#run(this.#takeOver(old, { file, begun: this.#update() }));
  }

  /** Subscribes to what the functions now want, and to nothing else; resolves when that is so. */
  update(): Promise<void> {
    return this.#run(this.#update());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("functions are being stopped"));
    await Promise.all([...this.#sessions.values()].map((session) => session[Symbol.asyncDispose]()));
    await Promise.allSettled(this.#running);
  }

  #run(work: Promise<void>): Promise<void> {
    const running = work
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.#options.log.warn("triggers could not be subscribed", { error });
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }

  async #update(): Promise<void> {
    const file = this.#file;
    if (file === undefined || this.#stop.signal.aborted) return;
    const wanted = this.#wanted();
    for (const key of [...file.sessions.keys(), ...this.#sessions.keys()])
      if (!wanted.has(key)) wanted.set(key, []); // its function has gone, or has no topics any more
    await Promise.all([...wanted].map(([key, filters]) => this.#sessionOf(key, file).update(filters)));
  }

  #wanted(): Map<Key, readonly string[]> {
    const { callables, log } = this.#options;
    const wanted = new Map<Key, readonly string[]>();
    for (const { definition } of callables()) {
      const { name, namespace, topics } = definition;
      const filters = [...new Set(topics)].filter((topic) => {
        const fault = topicFilterFault(topic);
        if (fault !== undefined)
          log.warn("topic of a function is no filter", { function: name, topic, fault });
        return fault === undefined;
      });
      if (filters.length > 0) wanted.set(`${namespace}/${name}`, filters);
    }
    return wanted;
  }

  #sessionOf(key: Key, file: SessionsFile): FunctionSession {
    const known = this.#sessions.get(key);
    if (known !== undefined) return known;
    const [namespace = "", name = ""] = key.split("/");
    const session: FunctionSession = new FunctionSession({
      host: this.#options,
      clientId: `cortado-function/${key}`,
      filters: file.sessions.get(key),
      onMessage: (message, signal) => this.#take({ name, namespace }, { message, signal }),
      held: (filters) => {
        if (filters === undefined && !session.isWanted) this.#sessions.delete(key);
        return file.put(key, filters);
      },
    });
    this.#sessions.set(key, session);
    return session;
  }

  #take(addressee: Addressee, came: Came): void {
    const { message } = came;
    // A retained message that a new subscription brings is no news, and would fire at every start.
    if (message.retain) {
      message.ack();
      return;
    }
    if (this.#held === undefined) this.#serve(addressee, came);
    // QoS 0 has no number by which it could be known again.
    else if (message.sequence > 0 || !this.#isDoubled) this.#held.push(() => this.#serve(addressee, came));
  }

  #serve(addressee: Addressee, came: Came): void {
    const { message } = came;
    const { name, namespace } = addressee;
    const isWanted = this.#deliveries
      .addressees(message)
      .some((one) => one.name === name && one.namespace === namespace);
    if (!isWanted || isTaken(this.#file?.taken, message)) {
      message.ack();
      return;
    }
    this.#deliveries.counts.messages += 1;
    void this.#run(
      this.#deliveries.deliver(addressee, came).then((isDone) => {
        if (isDone) message.ack();
      }),
    );
  }

  async #takeOver(
    filters: readonly string[],
    { file, begun }: { readonly file: SessionsFile; readonly begun: Promise<void> },
  ): Promise<void> {
    const { files, folder, log } = this.#options;
    const { signal } = this.#stop;
    await begun;
    const old = new OldSession({
      ...{ host: this.#options, files, folder, filters, signal, taken: file.taken },
      note: (taken) => file.putTaken(taken),
      serve: async (message) => {
        if (message.retain) return true;
        this.#deliveries.counts.messages += 1;
        const all = this.#deliveries.addressees(message);
        const done = await Promise.all(all.map((one) => this.#deliveries.deliver(one, { message, signal })));
        return done.every(Boolean);
      },
    });
    await old.takeOver({
      silent: () => void (this.#isDoubled = false),
      delivered: () => {
        const held = this.#held ?? [];
        this.#held = undefined;
        for (const serve of held) serve();
      },
    });
    log.info("the session that functions shared is taken over by those of their own", { filters });
  }
}
