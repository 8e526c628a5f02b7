import { malformed, protocolError, type PublishPacket } from "@cortado/wire/mqtt";

/** What an MQTT 5 client publishes, as far as its connection must remember it: topic aliases, and what is not answered yet. */
export class Inbound {
  readonly #limits: { readonly receiveMax: number; readonly topicAliasMax: number };
  #aliases: Map<number, string> | undefined;
  readonly #unanswered: Set<number> = new Set();

  constructor(limits: { readonly receiveMax: number; readonly topicAliasMax: number }) {
    this.#limits = limits;
  }

  answered(id: number): void {
    this.#unanswered.delete(id);
  }

  /** The packet with its topic where an alias stood for it, counted against the receive maximum. */
  resolved(packet: PublishPacket): PublishPacket {
    const { qos, id, properties } = packet;
    const { receiveMax } = this.#limits;
    if (properties?.subscriptionIdentifiers !== undefined)
      throw protocolError("a client publishes no subscription identifier (MQTT-3.3.4-6)");
    if (qos > 0) {
      this.#unanswered.add(id);
      if (this.#unanswered.size > receiveMax)
        throw malformed(`more than ${receiveMax} publishes are unanswered (MQTT-3.3.4-9)`, {
          fault: "receiveMaximumExceeded",
        });
    }
    const alias = properties?.topicAlias;
    return alias === undefined ? packet : this.#withTopic(packet, alias);
  }

  #withTopic(packet: PublishPacket, alias: number): PublishPacket {
    const { topicAliasMax } = this.#limits;
    if (alias > topicAliasMax)
      throw malformed(`topic alias ${alias} is over the maximum of ${topicAliasMax}`, {
        fault: "topicAliasInvalid",
      });
    const aliases = (this.#aliases ??= new Map());
    if (packet.topic !== "") {
      aliases.set(alias, packet.topic);
      return packet;
    }
    const topic = aliases.get(alias);
    if (topic === undefined) throw protocolError(`topic alias ${alias} stands for no topic`);
    return { ...packet, topic };
  }
}
