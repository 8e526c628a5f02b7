import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { decodeFrame, encodePacket, FrameReader, type Packet, type Will } from "@cortado/wire/mqtt";

/** A client on a real socket, as plain as can be. */
export async function dialBroker(
  port: number,
  clientId: string,
  cleanSession: boolean,
  onPacket: (packet: Packet) => void,
  will?: Will,
): Promise<{ socket: Socket; send(packet: Packet): void }> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const reader = new FrameReader({ frameBytesMax: () => 1e7 });
  const send = (packet: Packet): void => void socket.write(encodePacket(packet));
  let early: Packet[] | undefined = [];
  const accepted = new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("data", (bytes) => {
      reader.push(bytes);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        const packet = decodeFrame(frame);
        if (packet.type === "connack") {
          resolve();
          // What came with it waits until the caller has the client in its hand.
          setImmediate(() => {
            for (const one of early ?? []) onPacket(one);
            early = undefined;
          });
        } else if (early === undefined) onPacket(packet);
        else early.push(packet);
      }
    });
  });
  await once(socket, "connect");
  const connecting = { type: "connect", level: 4, clientId, cleanSession, keepAliveS: 0 } as const;
  send(will === undefined ? connecting : { ...connecting, will });
  await accepted;
  return { socket, send };
}

export type Load = { readonly acknowledged: Set<number>; stop(): void };

/** The topic of a number, of 7 that share one session or of thousands that are retained. */
const topicOf = (number: number, retain: boolean): string =>
  retain ? `/kept/${number % 5_000}` : `/store104/n/${number % 7}`;

/** Publishes numbers with QoS 1, at most 100 unacknowledged, until the socket ends. */
export async function publishNumbers(
  port: number,
  from: number,
  { retain = false }: { readonly retain?: boolean } = {},
): Promise<Load> {
  const acknowledged = new Set<number>();
  const underWay = new Map<number, number>();
  let next = from;
  let id = 0;
  const more = (): void => {
    while (underWay.size < 100 && !client.socket.destroyed) {
      id = id === 65_535 ? 1 : id + 1;
      underWay.set(id, next);
      client.send({
        type: "publish",
        topic: topicOf(next, retain),
        payload: Buffer.from(String(next)),
        qos: 1,
        retain,
        dup: false,
        id,
      });
      next += 1;
    }
  };
  const client = await dialBroker(port, retain ? "load-kept" : "load", true, (packet) => {
    if (packet.type !== "puback") return;
    const number = underWay.get(packet.id);
    underWay.delete(packet.id);
    if (number !== undefined) acknowledged.add(number);
    more();
  });
  client.socket.removeAllListeners("error").on("error", () => {});
  more();
  return { acknowledged, stop: () => void client.socket.destroy() };
}

/** A client that is there until the broker or it dies, and then a number is retained in `/wills/NAME`. */
export async function leaveWill(port: number, name: string, number: number): Promise<void> {
  const payload = Buffer.from(String(number));
  const will = { topic: `/wills/${name}`, payload, qos: 1, retain: true } as const;
  const { socket } = await dialBroker(port, `mortal-${name}`, true, () => {}, will);
  socket.removeAllListeners("error").on("error", () => {});
}

/** The number that is retained in each topic. */
export async function readKept(port: number, filter = "/kept/#"): Promise<ReadonlyMap<string, number>> {
  const kept = new Map<string, number>();
  let quiet = 0;
  const client = await dialBroker(port, "kept-reader", true, (packet) => {
    if (packet.type !== "publish") return;
    quiet = 0;
    kept.set(packet.topic, Number(Buffer.from(packet.payload).toString()));
  });
  client.send({ type: "subscribe", id: 1, subscriptions: [{ filter, qos: 0 }] });
  while (quiet < 5) {
    quiet += 1;
    await new Promise((resolve) => void setTimeout(resolve, 60));
  }
  client.socket.destroy();
  return kept;
}

/** Fails unless each topic has the last number that was acknowledged for it, or one that was sent later. */
export function checkKept(kept: ReadonlyMap<string, number>, acknowledged: ReadonlySet<number>): void {
  const last = new Map<string, number>();
  for (const number of acknowledged) {
    const topic = topicOf(number, true);
    last.set(topic, Math.max(number, last.get(topic) ?? 0));
  }
  const lost = [...last].filter(([topic, number]) => (kept.get(topic) ?? -1) < number);
  if (lost.length > 0)
    throw new Error(`of ${last.size} topics ${lost.length} lost what was retained, first ${lost[0]?.join()}`);
}

/** Makes a persistent session on `/store104/#` and leaves. */
export async function leaveSession(port: number): Promise<void> {
  const granted = Promise.withResolvers<void>();
  const client = await dialBroker(
    port,
    "away",
    false,
    (packet) => void (packet.type === "suback" && granted.resolve()),
  );
  client.send({ type: "subscribe", id: 1, subscriptions: [{ filter: "/store104/#", qos: 1 }] });
  await granted.promise;
  client.socket.destroy();
}

/** Comes back to the session and reads until nothing comes for a while; the numbers in the order in which they came. */
export async function readSession(port: number): Promise<readonly number[]> {
  const numbers: number[] = [];
  let quiet = 0;
  const client = await dialBroker(port, "away", false, (packet) => {
    if (packet.type !== "publish") return;
    quiet = 0;
    numbers.push(Number(Buffer.from(packet.payload).toString()));
    client.send({ type: "puback", id: packet.id });
  });
  while (quiet < 5) {
    quiet += 1;
    await new Promise((resolve) => void setTimeout(resolve, 60));
  }
  client.socket.destroy();
  return numbers;
}

/** A QoS 2 publisher and subscriber that keep what the standard has them keep over the broker's deaths. */
export class ExactPair {
  /** Numbers whose PUBREC has come. */
  readonly acknowledged: Set<number> = new Set();
  /** What the subscriber got, in order. */
  readonly received: number[] = [];
  readonly #known: Set<number> = new Set();
  /** The publisher's open exchanges: the number, and whether PUBREC has come. */
  readonly #open: Map<number, { readonly number: number; released: boolean }> = new Map();
  #next = 0;
  #id = 0;
  #sockets: Socket[] = [];
  #stopped = false;

  /** Comes back with both clients; while `publishing`, at most 50 exchanges are open. */
  async start(port: number, options: { readonly publishing: boolean }): Promise<void> {
    this.#stopped = false;
    const reader = await dialBroker(port, "exact-reader", false, (packet) => {
      if (packet.type === "publish") {
        if (!this.#known.has(packet.id)) this.received.push(Number(Buffer.from(packet.payload).toString()));
        this.#known.add(packet.id);
        reader.send({ type: "pubrec", id: packet.id });
      } else if (packet.type === "pubrel") {
        this.#known.delete(packet.id);
        reader.send({ type: "pubcomp", id: packet.id });
      }
    });
    reader.send({ type: "subscribe", id: 1, subscriptions: [{ filter: "/exact", qos: 2 }] });
    const writer = await dialBroker(port, "exact-writer", false, (packet) => {
      if (packet.type === "pubrec") {
        const open = this.#open.get(packet.id);
        if (open === undefined) return;
        open.released = true;
        this.acknowledged.add(open.number);
        writer.send({ type: "pubrel", id: packet.id });
      } else if (packet.type === "pubcomp") {
        this.#open.delete(packet.id);
        if (options.publishing) this.#more(writer);
      }
    });
    this.#sockets = [reader.socket, writer.socket];
    for (const socket of this.#sockets) socket.removeAllListeners("error").on("error", () => {});
    for (const [id, { number, released }] of this.#open)
      if (released) writer.send({ type: "pubrel", id });
      else writer.send(exactPublish(id, number, true));
    if (options.publishing) this.#more(writer);
  }

  get openExchanges(): number {
    return this.#open.size + this.#known.size;
  }

  stop(): void {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #more(writer: { send(packet: Packet): void }): void {
    while (!this.#stopped && this.#open.size < 50) {
      do this.#id = this.#id === 65_535 ? 1 : this.#id + 1;
      while (this.#open.has(this.#id));
      this.#open.set(this.#id, { number: this.#next, released: false });
      writer.send(exactPublish(this.#id, this.#next, false));
      this.#next += 1;
    }
  }
}

function exactPublish(id: number, number: number, dup: boolean): Packet {
  const payload = Buffer.from(String(number));
  return { type: "publish", topic: "/exact", payload, qos: 2, retain: false, dup, id };
}
