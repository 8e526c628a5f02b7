import { connect as dialTcp, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import * as make from "./bytes.ts";
import type { ConnectOptions, Level, PublishOptions, TypeName } from "./bytes.ts";
import { FrameCutter, readAck, readCodes, readConnack, readFarewell, readPublish } from "./frames.ts";
import type { Ack, Codes, Connack, Farewell, Frame, Publish } from "./frames.ts";

/** How long a server may take for anything that it does at once. */
const ANSWER_MS = 5_000;

/** One connection to the server, on which all can be said, also what must not be. */
export class Client implements AsyncDisposable {
  readonly level: Level;
  readonly #socket: Socket;
  readonly #frames: Frame[] = [];
  readonly #cutter = new FrameCutter();
  readonly #closed: Promise<void>;
  /** Acknowledges what it is sent. */
  acks = true;
  isClosed = false;
  #fault: unknown;
  #wake: () => void = () => undefined;
  #lastId = 0;

  readonly #answerMs: number;

  private constructor(socket: Socket, level: Level, answerMs: number) {
    this.#answerMs = answerMs;
    this.#socket = socket;
    this.level = level;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", () => undefined); // "close" follows
    socket.once("close", () => {
      this.isClosed = true;
      resolve();
      this.#wake();
    });
  }

  /** `answerMs`: how long it waits for an answer. */
  static async dial(
    target: { readonly host: string; readonly port: number } | { readonly path: string },
    level: Level,
    answerMs: number = ANSWER_MS,
  ): Promise<Client> {
    const socket = dialTcp("path" in target ? target : { ...target, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new Client(socket, level, answerMs);
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#cutter.push(chunk)) {
        this.#frames.push(frame);
        if (this.acks) this.#acknowledge(frame);
      }
    } catch (error) {
      this.#fault = error;
    }
    this.#wake();
  }

  #acknowledge(frame: Frame): void {
    if (frame.type === "publish") {
      const { qos, id } = readPublish(frame, this.level);
      if (qos > 0) this.send(make.ack(qos === 1 ? "puback" : "pubrec", id));
    } else if (frame.type === "pubrel") this.send(make.ack("pubcomp", readAck(frame).id));
    else if (frame.type === "pubrec" && readAck(frame).code < 0x80)
      this.send(make.ack("pubrel", readAck(frame).id));
  }

  send(...packets: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(packets));
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** The next frame of this type; what came before it and is of another is left where it is. */
  async #next<Value>(
    type: TypeName,
    read: (frame: Frame) => Value,
    wanted: (value: Value) => boolean = () => true,
  ): Promise<Value> {
    for (const end = performance.now() + this.#answerMs; ;) {
      if (this.#fault !== undefined) throw this.#fault as Error;
      for (const [index, frame] of this.#frames.entries()) {
        if (frame.type !== type) continue;
        const value = read(frame);
        if (!wanted(value)) continue;
        this.#frames.splice(index, 1);
        return value;
      }
      if (this.isClosed) throw new Error(`the server closed the connection instead of a ${type}`);
      const leftMs = end - performance.now();
      if (leftMs <= 0) throw new Error(`no ${type} came within ${this.#answerMs} ms`);
      await this.#change(leftMs);
    }
  }

  async #change(withinMs: number): Promise<void> {
    const changed = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([changed, sleep(withinMs, undefined, { ref: false })]);
  }

  /** The very next frame, of whatever type. */
  async first(): Promise<Frame> {
    for (const end = performance.now() + ANSWER_MS; this.#frames.length === 0;) {
      if (this.isClosed) throw new Error("the server closed the connection and said nothing");
      const leftMs = end - performance.now();
      if (leftMs <= 0) throw new Error(`nothing came within ${ANSWER_MS} ms`);
      await this.#change(leftMs);
    }
    return this.#frames.shift() as Frame;
  }

  connack(): Promise<Connack> {
    return this.#next("connack", (frame) => readConnack(frame, this.level));
  }
  /** The next message, or the next on this topic. */
  message(topic?: string): Promise<Publish> {
    const isIt = (message: Publish): boolean => topic === undefined || message.topic === topic;
    return this.#next("publish", (frame) => readPublish(frame, this.level), isIt);
  }
  ack(type: "puback" | "pubrec" | "pubrel" | "pubcomp", id?: number): Promise<Ack> {
    return this.#next(type, readAck, (found) => id === undefined || found.id === id);
  }
  suback(): Promise<Codes> {
    return this.#next("suback", (frame) => readCodes(frame, this.level));
  }
  unsuback(): Promise<Codes> {
    return this.#next("unsuback", (frame) => readCodes(frame, this.level));
  }
  auth(): Promise<Farewell> {
    return this.#next("auth", readFarewell);
  }
  /** What lies here unread. */
  waiting(type: TypeName): readonly Frame[] {
    return this.#frames.filter((frame) => frame.type === type);
  }

  /** Resolves when the server has closed the connection, with what it said last. */
  async closed(withinMs: number = ANSWER_MS): Promise<Farewell | undefined> {
    await Promise.race([this.#closed, sleep(withinMs, undefined, { ref: false })]);
    if (!this.isClosed) throw new Error(`the server left the connection open for ${withinMs} ms`);
    const last = this.waiting("disconnect").at(-1);
    return last === undefined ? undefined : readFarewell(last);
  }

  async connect(options: ConnectOptions): Promise<Connack> {
    this.send(make.connect({ level: this.level, ...options }));
    return await this.connack();
  }

  /** Answers the codes of its SUBACK. */
  async subscribe(...filters: readonly (readonly [string, number])[]): Promise<readonly number[]> {
    this.send(make.subscribe({ level: this.level, id: this.nextId(), filters }));
    return (await this.suback()).codes;
  }

  async unsubscribe(...filters: readonly string[]): Promise<Codes> {
    this.send(make.unsubscribe({ level: this.level, id: this.nextId(), filters }));
    return await this.unsuback();
  }

  /** Publishes and waits for what ends it. */
  async publish(topic: string, payload = "", more: Partial<PublishOptions> = {}): Promise<Ack | undefined> {
    const id = this.nextId();
    this.send(make.publish({ level: this.level, topic, payload, id, ...more }));
    const { qos = 0 } = more;
    if (qos === 0) return undefined;
    return await this.ack(qos === 1 ? "puback" : "pubcomp", id);
  }

  /** Whatever was said before has been heard by the server. */
  async settle(): Promise<void> {
    this.send(make.ping);
    await this.#next("pingresp", () => undefined);
  }

  /** Leaves as one should. */
  async leave(): Promise<void> {
    this.send(make.farewell);
    this.#socket.end();
    await this.#closed;
  }

  /** Is gone without a word. */
  async vanish(): Promise<void> {
    this.#socket.resetAndDestroy();
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#closed;
  }
}
