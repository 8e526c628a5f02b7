import { setImmediate as turn } from "node:timers/promises";
import { newMetrics } from "@cortado/std/metrics";
import type { Connection } from "@cortado/std/net";
import { seededRandom } from "@cortado/std/random";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { MemoryNetwork } from "@cortado/std/testing/memory-network";
import { keptLog } from "@cortado/std/testing/silent-log";
import {
  decodeFrame,
  encodePacket,
  FrameReader,
  type ConnackPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type Level,
  type Packet,
  type PublishPacket,
  type QoS,
} from "@cortado/wire/mqtt";
import { startBroker, type Broker, type BrokerLimits, type StartBrokerOptions } from "../mqtt.ts";

export const address = { host: "store", port: 1883 };
export const folder = "/mqtt";

/** Another broker with whom this one shares clock and network, and what this one is called there. */
type Beside = { readonly beside: World | undefined; readonly host: string };

/** A broker on a disk and network in memory. */
export class World implements AsyncDisposable {
  readonly clock: HeldClock;
  readonly network: MemoryNetwork;
  readonly address: { readonly host: string; readonly port: number };
  readonly files: MemoryFiles;
  readonly kept: ReturnType<typeof keptLog> = keptLog();
  readonly seed: number;
  #options: Partial<StartBrokerOptions> = {};
  broker!: Broker;

  private constructor(seed: number, { beside, host }: Beside) {
    this.seed = seed;
    this.clock = beside?.clock ?? new HeldClock();
    this.network = beside?.network ?? new MemoryNetwork();
    this.address = { ...address, host };
    this.files = new MemoryFiles({ random: seededRandom(seed) });
  }

  static async start(
    options: { seed?: number; limits?: Partial<BrokerLimits> } & Partial<StartBrokerOptions> &
      Partial<Beside> = {},
  ): Promise<World> {
    const { seed = 1, beside, host = address.host, ...more } = options;
    const world = new World(seed, { beside, host });
    world.#options = more;
    await world.boot();
    return world;
  }

  async boot(): Promise<void> {
    const { clock, network, files, kept } = this;
    this.broker = await startBroker({
      files,
      folder,
      network,
      clock,
      random: seededRandom(this.seed + 1),
      log: kept.log,
      metrics: newMetrics(),
      ...this.#options,
    });
    await this.broker.listen(this.address);
  }

  /** The whole machine stops at once: what was not synced is gone, or a torn part of it. */
  async cutPower(): Promise<void> {
    this.files.fault = new Error("no power");
    this.files.cutPower();
    await this.broker[Symbol.asyncDispose]();
    this.files.fault = undefined;
    await this.boot();
  }

  async restart(): Promise<void> {
    await this.broker[Symbol.asyncDispose]();
    await this.boot();
  }

  async client(
    options: Partial<ConnectPacket> & { clientId: string; autoAck?: boolean },
  ): Promise<TestClient> {
    const client = await this.dial(options.autoAck ?? true, options.level);
    const { autoAck: _autoAck, ...connect } = options;
    client.send({ type: "connect", level: 4, cleanSession: true, keepAliveS: 0, ...connect });
    await client.expect("connack");
    return client;
  }

  async dial(autoAck = true, level: Level = 4): Promise<TestClient> {
    return new TestClient(await this.network.dial(this.address), { autoAck, level });
  }

  async diskBytes(): Promise<number> {
    let total = 0;
    for (const name of await this.files.list(folder))
      total += (await this.files.read(`${folder}/${name}`))?.byteLength ?? 0;
    return total;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker[Symbol.asyncDispose]();
  }
}

/** A client that keeps all it gets. */
export class TestClient {
  readonly connection: Connection;
  readonly packets: Packet[] = [];
  readonly #reader = new FrameReader({ frameBytesMax: 1e8 });
  autoAck: boolean;
  closed = false;
  #nextId = 0;

  readonly level: Level;

  constructor(
    connection: Connection,
    { autoAck, level }: { readonly autoAck: boolean; readonly level: Level },
  ) {
    this.connection = connection;
    this.autoAck = autoAck;
    this.level = level;
    connection.handle({
      data: (bytes) => {
        this.#reader.push(bytes);
        for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
          const packet = decodeFrame(new Uint8Array(frame), level);
          this.packets.push(packet);
          if (this.autoAck) this.#answer(packet);
        }
      },
      drained() {},
      closed: () => void (this.closed = true),
    });
  }

  #answer(packet: Packet): void {
    if (packet.type === "publish" && packet.qos > 0)
      this.send({ type: packet.qos === 1 ? "puback" : "pubrec", id: packet.id });
    else if (packet.type === "pubrel") this.send({ type: "pubcomp", id: packet.id });
    else if (packet.type === "pubrec" && (packet.code ?? 0) < 0x80)
      this.send({ type: "pubrel", id: packet.id });
  }

  send(packet: Packet): void {
    this.connection.write(encodePacket(packet, this.level));
  }

  /** The CONNACK that it got. */
  get connack(): ConnackPacket {
    const found = this.packets.find((packet) => packet.type === "connack");
    if (found?.type !== "connack") throw new Error("no CONNACK has come");
    return found;
  }

  /** The DISCONNECT with which the broker ended the connection. */
  async ended(): Promise<DisconnectPacket> {
    await until(() => this.closed, "closed");
    const last = this.packets.at(-1);
    if (last?.type !== "disconnect") throw new Error(`the last packet was ${last?.type}`);
    return last;
  }

  get messages(): readonly PublishPacket[] {
    return this.packets.filter((packet) => packet.type === "publish");
  }

  get texts(): readonly string[] {
    return this.messages.map(({ payload }) => new TextDecoder().decode(payload));
  }

  nextId(): number {
    return (this.#nextId += 1);
  }

  /** Sends and does not wait; answers the packet id. */
  publish(topic: string, text: string, options: { qos?: QoS; retain?: boolean } = {}): number {
    const { qos = 1, retain = false } = options;
    const id = qos === 0 ? 0 : this.nextId();
    this.send({
      type: "publish",
      topic,
      payload: new TextEncoder().encode(text),
      qos,
      retain,
      dup: false,
      id,
    });
    return id;
  }

  async published(topic: string, text: string, options: { qos?: QoS; retain?: boolean } = {}): Promise<void> {
    const id = this.publish(topic, text, options);
    await until(() => this.has("puback", id), `PUBACK ${id}`);
  }

  async subscribed(...filters: readonly (string | readonly [string, QoS])[]): Promise<readonly number[]> {
    const id = this.nextId();
    const subscriptions = filters.map((one) =>
      typeof one === "string" ? { filter: one, qos: 1 as QoS } : { filter: one[0], qos: one[1] },
    );
    this.send({ type: "subscribe", id, subscriptions });
    const suback = await this.expect("suback");
    return suback.type === "suback" ? suback.granted : [];
  }

  has(type: Packet["type"], id: number): boolean {
    return this.packets.some((packet) => packet.type === type && "id" in packet && packet.id === id);
  }

  async expect(type: Packet["type"]): Promise<Packet> {
    const from = this.packets.filter((packet) => packet.type === type).length;
    const found = (): Packet | undefined => this.packets.filter((packet) => packet.type === type).at(-1);
    if (from > 0 && type === "connack") return found() as Packet;
    await until(
      () => this.packets.filter((packet) => packet.type === type).length > from || this.closed,
      type,
    );
    return found() ?? { type: "disconnect" };
  }
}

/** Lets the loop turn until a state is reached; no time passes. */
export async function until(reached: () => boolean, what: string, turns = 3_000): Promise<void> {
  for (let at = 0; at < turns; at += 1) {
    if (reached()) return;
    await turn();
  }
  throw new Error(`not reached within ${turns} turns: ${what}`);
}
