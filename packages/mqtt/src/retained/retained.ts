import { levelsMatch } from "@cortado/wire/mqtt";
import type { Message } from "../journal/records.ts";

/** The last message of each topic that was published with the retain flag. */
export class RetainedMessages {
  readonly #byTopic = new Map<string, Message>();
  #bytes = 0;

  get items(): number {
    return this.#byTopic.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a message; an empty payload clears the topic (MQTT 3.1.1, section 3.3.1.3). */
  keep(message: Message): void {
    const old = this.#byTopic.get(message.topic);
    if (old !== undefined) {
      this.#byTopic.delete(message.topic);
      this.#bytes -= sizeOf(old);
    }
    if (message.payload.byteLength === 0) return;
    // A payload is a view of the record it came in, which holds nothing much else.
    this.#byTopic.set(message.topic, message);
    this.#bytes += sizeOf(message);
  }

  /** What keeping this would come to. */
  after(message: { readonly topic: string; readonly payload: Uint8Array }): {
    readonly items: number;
    readonly bytes: number;
  } {
    const old = this.#byTopic.get(message.topic);
    const isNew = old === undefined ? 1 : 0;
    if (message.payload.byteLength === 0) return { items: 0, bytes: 0 };
    return {
      items: this.items + isNew,
      bytes: this.#bytes + sizeOf(message) - (old === undefined ? 0 : sizeOf(old)),
    };
  }

  *matching(filter: string): Iterable<Message> {
    if (!filter.includes("+") && !filter.includes("#")) {
      const message = this.#byTopic.get(filter);
      if (message !== undefined) yield message;
      return;
    }
    const levels = filter.split("/");
    for (const message of this.#byTopic.values())
      if (levelsMatch(levels, message.topic.split("/"))) yield message;
  }

  all(): Iterable<Message> {
    return this.#byTopic.values();
  }
}

function sizeOf({ topic, payload }: { readonly topic: string; readonly payload: Uint8Array }): number {
  return topic.length + payload.byteLength;
}
