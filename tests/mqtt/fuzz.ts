import { connect, type Socket } from "node:net";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@cortado/std/random";
import type { Random } from "@cortado/std/random";
import * as make from "./suite/bytes.ts";
import type { Level } from "./suite/bytes.ts";

/** Sessions that begin as good ones and have some of their bytes changed, sent in pieces, cut off or left hanging. */
export class Fuzzer {
  readonly #port: number;
  readonly #random: Random;
  sessions = 0;
  bytes = 0;

  constructor({ port, seed }: { readonly port: number; readonly seed: number }) {
    this.#port = port;
    this.#random = seededRandom(seed);
  }

  /** Attacks until the signal aborts, one connection after the other. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#attack();
      this.sessions += 1;
    }
  }

  async #attack(): Promise<void> {
    const socket = connect({ host: "127.0.0.1", port: this.#port, noDelay: true });
    const gone = new Promise<void>((resolve) => void socket.once("close", () => resolve()));
    socket.on("error", () => undefined); // "close" follows
    if (this.#one(2) === 0) socket.on("data", () => undefined);
    const level = this.#pick<Level>([3, 4, 4, 5, 5, 5]);
    const data = this.#mutated(this.#session(level));
    this.bytes += data.byteLength;
    await Promise.race([this.#send(socket, data), gone]);
    // Some leave at once, some wait for what the server does, some have to be thrown out.
    const patienceMs = this.#pick([0, 0, 5, 50, 500]);
    await Promise.race([gone, sleep(patienceMs)]);
    if (this.#one(2) === 0) socket.resetAndDestroy();
    else socket.destroy();
    await gone;
  }

  async #send(socket: Socket, data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.byteLength && !socket.destroyed;) {
      const end = Math.min(data.byteLength, at + this.#pick([1, 7, 100, 5_000, 100_000]));
      const isTaken = socket.write(data.subarray(at, end));
      at = end;
      if (!isTaken || this.#one(20) === 0) await sleep(1);
    }
  }

  #one(of: number): number {
    return this.#random.integer(of);
  }

  #pick<Value>(list: readonly Value[]): Value {
    return list[this.#one(list.length)] as Value;
  }

  #session(level: Level): readonly Uint8Array[] {
    const id = (): number => 1 + this.#one(6);
    const topic = (): string => this.#pick(["a", "/a/b", "a//b", "a/b/c/d", "$SYS/x", "é", "r"]);
    const filter = (): string => this.#pick(["#", "+/+", "/a/#", "$share/g/a", "a", "+//b", "$SYS/#"]);
    const payload = (): string => "x".repeat(this.#pick([0, 1, 100, 2_000, 70_000]));
    const properties = (): readonly make.Property[] =>
      this.#one(2) === 0 ? [] : [this.#pick(this.#properties())];
    const steps: readonly (() => Uint8Array)[] = [
      () =>
        make.publish({
          ...{ level, topic: topic(), payload: payload(), qos: this.#one(3), id: id() },
          ...{ retain: this.#one(4) === 0, dup: this.#one(5) === 0, properties: properties() },
        }),
      () => make.subscribe({ level, id: id(), filters: [[filter(), this.#one(3)]], properties: [] }),
      () => make.unsubscribe({ level, id: id(), filters: [filter()] }),
      () => make.ack(this.#pick(["puback", "pubrec", "pubrel", "pubcomp"] as const), id()),
      () => make.ping,
    ];
    const will = { topic: topic(), payload: payload(), qos: this.#one(3), retain: this.#one(2) === 0 };
    const first = make.connect({
      ...{ level, clientId: `fuzz-${this.#one(12)}`, clean: this.#one(2) === 0, keepAlive: this.#one(3) },
      ...(this.#one(3) === 0 ? { will } : {}),
      ...(this.#one(3) === 0 ? { username: "u", password: "p" } : {}),
      ...(level === 5 ? { properties: [make.prop.u32(make.ids.sessionExpiry, this.#one(30))] } : {}),
    });
    const rest = Array.from({ length: this.#one(30) }, () => this.#pick(steps)());
    return [first, ...rest, ...(this.#one(2) === 0 ? [make.farewell] : [])];
  }

  #properties(): readonly make.Property[] {
    const { ids, prop } = make;
    return [
      prop.u16(ids.topicAlias, 1 + this.#one(70)),
      prop.u32(ids.messageExpiry, this.#one(5)),
      prop.text(ids.responseTopic, "a"),
      prop.text(ids.correlationData, "c".repeat(this.#one(300))),
      prop.pair("name", "v".repeat(this.#one(5_000))),
      prop.text(ids.contentType, "t"),
      prop.byte(ids.payloadFormat, this.#one(2)),
    ];
  }

  /** A third stays as it is, so that all that follows a good beginning is reached too. */
  #mutated(packets: readonly Uint8Array[]): Uint8Array {
    const list = [...packets];
    if (list.length > 1 && this.#one(4) === 0) list.splice(this.#one(list.length), 1);
    if (this.#one(4) === 0)
      list.splice(this.#one(list.length), 0, list[this.#one(list.length)] as Uint8Array);
    const data = Buffer.concat(list);
    for (let times = this.#pick([0, 0, 1, 2, 8]); times > 0; times -= 1) {
      const at = this.#one(data.length);
      data[at] = this.#pick([0, 0xff, 0x80, this.#one(256), (data[at] ?? 0) ^ (1 << this.#one(8))]);
    }
    if (this.#one(6) === 0) return data.subarray(0, this.#one(data.length));
    if (this.#one(6) === 0) {
      const at = this.#one(data.length);
      return Buffer.concat([
        data.subarray(0, at),
        Buffer.from(this.#random.bytes(this.#one(40))),
        data.subarray(at),
      ]);
    }
    return data;
  }
}

/** RSS of a process in MB (Linux). */
export function rssMb(pid: number): number {
  const [, pages = "0"] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ");
  return (Number(pages) * 4_096) / 2 ** 20;
}
