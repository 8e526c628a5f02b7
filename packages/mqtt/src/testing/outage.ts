import assert from "node:assert/strict";
import { settle } from "@cortado/std/testing/held-clock";
import type { Packet, PublishPacket } from "@cortado/wire/mqtt";
import { Chain, reader, textOf } from "./bridge-world.ts";
import type { TestClient, World } from "./world.ts";
import { ownMark } from "../bridge/mark.ts";

const PER_S = 100;
const TOPICS = 10;

/** Publishes a second's worth, spread over the topics; each message says its number. */
async function publishSecond(sensor: TestClient, second: number): Promise<void> {
  const ids: number[] = [];
  for (let at = 0; at < PER_S; at += 1) {
    const number = second * PER_S + at;
    const id = (number % 60_000) + 1;
    ids.push(id);
    sensor.send({
      type: "publish",
      topic: `/store104/${number % TOPICS}`,
      payload: new TextEncoder().encode(String(number)),
      qos: 1,
      retain: false,
      dup: false,
      id,
    });
  }
  sensor.packets.length = 0;
  for (let turn = 0; sensor.packets.length < PER_S; turn += 1) {
    if (turn > 5_000) throw new Error(`only ${sensor.packets.length} of ${ids.length} were acknowledged`);
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}

/** Counts what a reader at the centre got, and forgets the packets. */
class Received {
  readonly numbers: number[] = [];
  readonly #seen: Set<string> = new Set();
  again = 0;

  take(client: TestClient): void {
    const packets: readonly Packet[] = client.packets;
    for (const packet of packets)
      if (packet.type === "publish" && packet.topic.startsWith("hq")) this.#one(packet);
    client.packets.length = 0;
  }

  #one(packet: PublishPacket): void {
    const mark = ownMark(packet.properties?.userProperties);
    const id = `${mark?.id} ${mark?.sequence}`;
    if (this.#seen.has(id)) this.again += 1;
    this.#seen.add(id);
    this.numbers.push(Number(textOf(packet)));
  }

  check(total: number): void {
    assert.equal(this.again, 0, "by the ids each comes once");
    assert.equal(this.numbers.length, total, "each number once");
    assert.equal(new Set(this.numbers).size, total);
    const last = Array.from({ length: TOPICS }, () => -1);
    for (const number of this.numbers) {
      assert.ok(
        number > (last[number % TOPICS] ?? -1),
        `${number} comes behind ${last[number % TOPICS]} of its topic`,
      );
      last[number % TOPICS] = number;
    }
  }
}

type Budgeted = { readonly bytesPerS: number; readonly burstBytes: number };

/** In each stretch of time no more than the rate and one burst. */
class Meter {
  readonly #budget: Budgeted;
  #startMs: number;
  #startBytes: number;

  constructor(budget: Budgeted, { nowMs, bytes }: { readonly nowMs: number; readonly bytes: number }) {
    this.#budget = budget;
    this.#startMs = nowMs;
    this.#startBytes = bytes;
  }

  check(nowMs: number, bytes: number): void {
    const { bytesPerS, burstBytes } = this.#budget;
    const allowed = burstBytes + (bytesPerS * (nowMs - this.#startMs)) / 1_000;
    const sent = bytes - this.#startBytes;
    assert.ok(sent <= allowed, `${sent} bytes where ${allowed} are allowed`);
    this.#startMs = nowMs;
    this.#startBytes = bytes;
  }
}

/** The messages that the centre has taken and kept, read once. */
async function readKept(central: World, total: number): Promise<Received> {
  const received = new Received();
  const there = await reader(central, "hq/#");
  for (let turn = 0; received.numbers.length < total && turn < 200_000; turn += 1) {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    received.take(there);
  }
  await settle();
  received.take(there);
  return received;
}

export type OutageOptions = Budgeted & {
  /** How long the line is cut, at 100 messages a second. */
  readonly seconds: number;
  /** While it drains, one of the two brokers loses its power so often. */
  readonly cutEveryS: number;
};

/**
 * The line is cut, our side loses its power meanwhile, and both sides while the backlog drains. All must arrive, each topic's in
 * order, within the byte budget; and a receiver that uses the ids, as our broker does, has each once.
 */
export async function outage({ seconds, cutEveryS, ...budget }: OutageOptions): Promise<void> {
  await using chain = await Chain.start();
  const { store, central } = chain;
  const nowMs = (): number => store.clock.monotonicMs();
  await chain.bridge(budget);
  await chain.connected();
  const absent = await reader(central, "hq/#");
  absent.connection.end();
  chain.cut();
  await publishAll(chain, { seconds, budget });
  const total = seconds * PER_S;
  assert.equal(chain.status.backlogMessages, total);
  chain.heal();
  await chain.connected();
  let meter = new Meter(budget, { nowMs: nowMs(), bytes: chain.status.counts.bytes });
  let sent = 0;
  for (let second = 1; chain.status.backlogMessages > 0; second += 1) {
    assert.ok(second < 3_600, "it drains within the hour");
    await store.clock.advance(1_000);
    meter.check(nowMs(), chain.status.counts.bytes);
    if (second % (2 * cutEveryS) === 0) await central.cutPower();
    else if (second % cutEveryS === 0) {
      // In the midst of it: what is on its way is lost with the power, and sent again.
      await store.clock.advance(7);
      sent += chain.status.counts.sent;
      await store.cutPower();
      await chain.bridge(budget);
      meter = new Meter(budget, { nowMs: nowMs(), bytes: 0 });
    }
  }
  sent += chain.status.counts.sent;
  assert.ok(sent > total, "some went twice");
  (await readKept(central, total)).check(total);
}

type Publishing = { readonly seconds: number; readonly budget: Budgeted };

async function publishAll(chain: Chain, { seconds, budget }: Publishing): Promise<void> {
  const { store } = chain;
  let sensor = await store.client({ clientId: "sensor" });
  for (let second = 0; second < seconds; second += 1) {
    await publishSecond(sensor, second);
    await store.clock.advance(1_000);
    if (second !== Math.floor(seconds / 2)) continue;
    await store.cutPower();
    await chain.bridge(budget);
    sensor = await store.client({ clientId: "sensor" });
  }
  await settle();
}
