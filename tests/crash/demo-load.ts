import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import mqtt, { type MqttClient } from "mqtt";
import { Api, postOrder } from "../../tools/bench/demo-box.ts";
import type { DemoWorld, StoreEntry } from "../end-to-end/demo-world.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Told = { readonly acknowledged: Set<number>; unknown: number; made: number };
type Writes = {
  readonly created: Map<string, string>;
  readonly rewritten: Map<string, { least: number; most: number }>;
  unknown: number;
};
type Alert = {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly payload: string; readonly topic: string };
};
type ConfigMap = {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly data?: { readonly n?: string };
};

/** Everybody who uses a store at once, and what they were told. All go on while the store dies and comes back. */
export class DemoLoad {
  readonly #world: DemoWorld;
  readonly #stop = new AbortController();
  readonly #work: Promise<void>[] = [];
  readonly orders: Set<string> = new Set();
  readonly messages: Told = { acknowledged: new Set(), unknown: 0, made: 0 };
  readonly received: Map<number, number> = new Map();
  readonly warnings: Told = { acknowledged: new Set(), unknown: 0, made: 0 };
  readonly writes: Writes = { created: new Map(), rewritten: new Map(), unknown: 0 };
  retries = 0;
  #reader: MqttClient | undefined;
  /** Where everything is: a demo keeps its ports. */
  #entry: StoreEntry | undefined;

  constructor(world: DemoWorld) {
    this.#world = world;
  }

  async start(): Promise<void> {
    const { mqtt: url } = this.#world.store;
    this.#reader = await mqtt.connectAsync(url, {
      clientId: "chaos-reader",
      clean: false,
      reconnectPeriod: 300,
      resubscribe: false,
    });
    await this.#reader.subscribeAsync("/chaos/#", { qos: 1 });
    this.#reader.on("error", () => undefined);
    this.#reader.on("message", (_topic, payload) => {
      const number = Number(payload.toString());
      this.received.set(number, (this.received.get(number) ?? 0) + 1);
    });
    this.#entry = this.#world.store;
    this.#work.push(this.#sell(), this.#publish(), this.#create());
    for (let at = 0; at < 4; at += 1) this.#work.push(this.#rewrite(`rewritten-${at}`));
    // Whoever fails is heard when all are asked to finish.
    for (const work of this.#work) work.catch(() => undefined);
  }

  /** Lets everybody finish what they began; an order is tried until it is taken. */
  async finish(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#work);
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#reader?.endAsync(true);
  }

  get #store(): StoreEntry {
    return this.#entry as StoreEntry;
  }

  get #goesOn(): boolean {
    return !this.#stop.signal.aborted;
  }

  async #sell(): Promise<void> {
    const open: Promise<void>[] = [];
    while (this.#goesOn) {
      open.push(this.#order());
      await sleep(100);
    }
    await Promise.all(open);
  }

  async #order(): Promise<void> {
    const id = randomUUID();
    const body = {
      id,
      items: [{ sku: "latte", quantity: 1 }],
      payment: { method: "card", token: "tok_visa" },
    };
    for (let tries = 0; tries < 300; tries += 1) {
      const { status } = await postOrder(this.#store.shop, body);
      if (status === 201 || status === 200) {
        this.orders.add(id);
        return;
      }
      this.retries += 1;
      await sleep(300);
    }
    assert.fail(`order ${id} was never taken`);
  }

  // A connection per life of the broker: what was not answered on it is not sent again, so what was answered came once.
  async #publish(): Promise<void> {
    while (this.#goesOn) {
      const client = mqtt.connect(this.#store.mqtt, { reconnectPeriod: 0, connectTimeout: 2_000 });
      client.on("error", () => undefined);
      let open = true;
      const closed = new Promise<void>((resolve) => {
        client.on("close", () => {
          open = false;
          resolve();
        });
      });
      await Promise.race([
        closed,
        new Promise<void>((resolve) => void client.once("connect", () => resolve())),
      ]);
      for (let round = 0; this.#goesOn && open; round += 1) {
        this.#send(client, "/chaos/n", this.messages, String);
        if (round % 5 === 0)
          this.#send(client, "/store104/fridge/temp", this.warnings, (n) =>
            JSON.stringify({ temp: 97.4, unit: "F", n }),
          );
        await sleep(100);
      }
      await sleep(this.#goesOn ? 0 : 1_000); // the last answers
      client.end(true);
      if (!open) await sleep(200);
    }
  }

  #send(client: MqttClient, topic: string, told: Told, text: (n: number) => string): void {
    const number = told.made;
    told.made += 1;
    told.unknown += 1;
    client.publish(topic, text(number), { qos: 1 }, (error) => {
      if (error !== null && error !== undefined) return;
      told.unknown -= 1;
      told.acknowledged.add(number);
    });
  }

  async #create(): Promise<void> {
    for (let at = 0; this.#goesOn; at += 1) {
      const name = `created-${at}`;
      const { status, text } = await this.#ask("POST", "/api/v1/namespaces/default/configmaps", {
        metadata: { name },
        data: { n: String(at) },
      });
      if (status === 201) this.writes.created.set(name, (JSON.parse(text) as ConfigMap).metadata.uid);
      else this.writes.unknown += 1;
      await sleep(100);
    }
  }

  async #rewrite(name: string): Promise<void> {
    const known = { least: 0, most: 0 };
    this.writes.rewritten.set(name, known);
    while (
      !(
        await this.#ask("POST", "/api/v1/namespaces/default/configmaps", {
          metadata: { name },
          data: { n: "0" },
        })
      ).text.includes(name)
    )
      await sleep(200);
    while (this.#goesOn) {
      known.most += 1;
      const { status } = await this.#ask("PUT", `/api/v1/namespaces/default/configmaps/${name}`, {
        metadata: { name },
        data: { n: String(known.most) },
      });
      if (status === 200) known.least = known.most;
      else await sleep(200);
      await sleep(50);
    }
  }

  #api: Api | undefined;

  async #ask(method: string, path: string, body: unknown): Promise<{ status: number; text: string }> {
    this.#api ??= new Api(this.#store.kubeconfig);
    const late = sleep(5_000).then(() => ({ status: 0, text: "late" }));
    return Promise.race([
      late,
      this.#api.send(method, path, body).catch((error: unknown) => ({ status: 0, text: String(error) })),
    ]);
  }

  /** Names of ConfigMaps that were acknowledged and are gone, are others, or went back. */
  async lostWrites(): Promise<readonly string[]> {
    const { text } = await this.#ask("GET", "/api/v1/namespaces/default/configmaps", undefined);
    const found = new Map(
      (JSON.parse(text) as { items: ConfigMap[] }).items.map((one) => [one.metadata.name, one]),
    );
    const created = [...this.writes.created]
      .filter(([name, uid]) => found.get(name)?.metadata.uid !== uid)
      .map(([name]) => name);
    const rewritten = [...this.writes.rewritten].filter(([name, { least, most }]) => {
      const n = Number(found.get(name)?.data?.n);
      return !(n >= least && n <= most);
    });
    return [...created, ...rewritten.map(([name]) => name)];
  }

  async alerts(): Promise<ReadonlyMap<number, number>> {
    const { text } = await this.#ask("GET", "/apis/telemetry.cortado.dev/v1alpha1/alerts", undefined);
    const counts = new Map<number, number>();
    for (const { spec } of (JSON.parse(text) as { items: Alert[] }).items) {
      const { n } = JSON.parse(spec.payload) as { n?: number };
      if (n !== undefined) counts.set(n, (counts.get(n) ?? 0) + 1);
    }
    return counts;
  }
}
