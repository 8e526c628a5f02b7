import type { Connection } from "@cortado/std/net";
import type { PublishPacket } from "@cortado/wire/mqtt";
import type { BridgeStatus } from "../bridge/bridge.ts";
import { bridgeDefaults, type BridgeSettings, type BridgeTopic } from "../bridge/settings.ts";
import type { BrokerLimits } from "../limits.ts";
import { World, type TestClient } from "./world.ts";

export const out: BridgeTopic = {
  pattern: "/store104/#",
  direction: "out",
  qos: 1,
  localPrefix: "",
  remotePrefix: "hq",
};

/** A store and a central broker on one clock and network, with the line between them in hand. */
export class Chain implements AsyncDisposable {
  readonly store: World;
  readonly central: World;
  readonly #line: Line;

  private constructor(parts: { readonly store: World; readonly central: World; readonly line: Line }) {
    this.store = parts.store;
    this.central = parts.central;
    this.#line = parts.line;
  }

  static async start(
    limits: Partial<BrokerLimits> = {},
    centralOptions: Parameters<typeof World.start>[0] = {},
  ): Promise<Chain> {
    const line: Line = { isCut: false, ends: new Set() };
    const store: World = await World.start({
      seed: 3,
      limits,
      dialRemote: async (address) => {
        if (line.isCut) throw new Error("the line is cut");
        const end = await store.network.dial(address);
        line.ends.add(end);
        return end;
      },
    });
    const central = await World.start({ seed: 9, beside: store, host: "central", ...centralOptions });
    return new Chain({ store, central, line });
  }

  /** Ends the connection between the two, and lets none be made until `heal`. */
  cut(): void {
    this.#line.isCut = true;
    for (const end of this.#line.ends) end.destroy();
    this.#line.ends.clear();
  }

  heal(): void {
    this.#line.isCut = false;
  }

  /** Puts the bridge again, as its owner does when a broker has started anew. */
  async bridge(more: Partial<BridgeSettings> = {}): Promise<void> {
    await this.store.broker.bridges.put(settings(this.central, more));
  }

  get status(): BridgeStatus {
    const status = this.store.broker.bridges.status("hq");
    if (status === undefined) throw new Error("there is no bridge hq");
    return status;
  }

  connected(): Promise<void> {
    return connected(this.store);
  }

  async drained(withinMs = 600_000): Promise<void> {
    await this.store.clock.until(() => this.status.backlogMessages === 0, { withinMs, what: "drained" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await this.central[Symbol.asyncDispose]();
  }
}

type Line = { isCut: boolean; readonly ends: Set<Connection> };

export function settings(central: World, more: Partial<BridgeSettings> = {}): BridgeSettings {
  return {
    ...bridgeDefaults,
    name: "hq",
    clientId: "store-104.hq",
    addresses: [central.address],
    topics: [out],
    ...more,
  };
}

const isConnected = (store: World): boolean => store.broker.bridges.status("hq")?.state === "connected";
export const connected = (store: World): Promise<void> =>
  store.clock.until(() => isConnected(store), { withinMs: 120_000, what: "bridge connected" });

/** A persistent session of MQTT 5 at a broker, which keeps what comes. */
export async function reader(world: World, filter = "#", more = {}): Promise<TestClient> {
  const client = await world.client({
    clientId: "reader",
    level: 5,
    cleanSession: false,
    properties: { sessionExpiryIntervalS: 0xffffffff },
    ...more,
  });
  await client.subscribed([filter, 2]);
  return client;
}

export const textsOn = (client: TestClient, topic: string): readonly string[] =>
  client.messages.filter((one) => one.topic === topic).map(textOf);
export const textOf = ({ payload }: PublishPacket): string => new TextDecoder().decode(payload);
