import { connectMqtt, type MqttClient } from "@cortado/mqtt/client";
import { silentLog } from "@cortado/std/testing/silent-log";
import { MessageChecker } from "../../checkers/messages.ts";
import { brokerAddress } from "./store.ts";
import type { ActorPorts } from "./actor-ports.ts";

const filter = "/store/#";

/** A fridge that publishes numbers with QoS 1, and a reader whose session is kept. Both outlive the store's processes. */
export class Sensors {
  readonly #ports: ActorPorts;
  readonly messages: MessageChecker;
  readonly #publisher: MqttClient;
  #reader: MqttClient | undefined;
  #published = 0;

  constructor(ports: ActorPorts) {
    this.#ports = ports;
    this.messages = new MessageChecker(ports.claims, ports.store.name);
    this.#publisher = this.#connect({ clientId: "fridge", cleanSession: true, onMessage: () => undefined });
  }

  async publish(): Promise<void> {
    const { clock, random, signal, trace, store } = this.#ports;
    await this.#read().subscribe([{ filter, qos: 1 }]);
    while (!signal.aborted) {
      await clock.sleep(20 + random.integer(900), { signal });
      for (let burst = random.integer(10) === 0 ? 20 : 1; burst > 0; burst -= 1) {
        const number = this.#published;
        this.#published += 1;
        const payload = new TextEncoder().encode(String(number));
        this.#publisher.publish({ topic: "/store/fridge/temp", payload, qos: 1 }).then(
          () => {
            trace.note(store.name, "acknowledged", String(number));
            this.messages.acknowledged(number);
          },
          () => trace.note(store.name, "unpublished", String(number)),
        );
      }
    }
  }

  /** The reader goes away for a while, again and again; its session waits for it. */
  async comeAndGo(): Promise<void> {
    const { clock, random, signal } = this.#ports;
    while (!signal.aborted) {
      await clock.sleep(5_000 + random.integer(40_000), { signal });
      await this.#reader?.[Symbol.asyncDispose]();
      await clock.sleep(random.integer(15_000), { signal }).catch(() => undefined);
      this.#read();
    }
  }

  #read(): MqttClient {
    const { clock, random, trace, store } = this.#ports;
    const decoder = new TextDecoder();
    this.#reader = this.#connect({
      clientId: "reader",
      cleanSession: false,
      onMessage: (message) => {
        const number = Number(decoder.decode(message.payload));
        const isNew = this.messages.received(number);
        trace.note(store.name, isNew ? "received" : "received-again", String(number));
        if (random.integer(10) === 0) clock.after(random.integer(300), () => message.ack());
        else message.ack();
      },
    });
    return this.#reader;
  }

  #connect(
    options: Pick<Parameters<typeof connectMqtt>[0], "clientId" | "cleanSession" | "onMessage">,
  ): MqttClient {
    const { store, clock, random } = this.#ports;
    return connectMqtt({
      ...options,
      dial: () => store.network.dial(brokerAddress),
      keepAliveS: 20,
      clock,
      random,
      log: silentLog,
    });
  }
}
