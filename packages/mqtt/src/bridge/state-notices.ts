import type { Clock } from "@cortado/std/clock";
import { encodePacket, type Will } from "@cortado/wire/mqtt";
import type { Publishing } from "../broker/publishing.ts";
import { lowerQos } from "../session/session.ts";
import type { RemoteLink } from "./remote-link.ts";
import type { BridgeSettings } from "./settings.ts";

type Here = { readonly publishing: Publishing; readonly clock: Clock };

/** Tells on both sides whether a bridge is connected: 1 or 0, retained, as mosquitto's bridges do. */
export class StateNotices {
  readonly #settings: BridgeSettings;
  readonly #here: Here;

  constructor(settings: BridgeSettings, here: Here) {
    this.#settings = settings;
    this.#here = here;
  }

  get #topic(): string {
    const { notificationTopic, clientId } = this.#settings;
    return notificationTopic ?? `$SYS/broker/connection/${clientId.replaceAll(/[/+#]/g, "-")}/state`;
  }

  /** What the remote says for us when the line dies. */
  will(): Will | undefined {
    const { notifications, remote } = this.#settings;
    if (!notifications) return undefined;
    const qos = lowerQos(1, remote.qosMax);
    return { topic: this.#topic, payload: textBytes("0"), qos, retain: remote.retainAvailable };
  }

  // QoS 0: the line has just carried a CONNACK, and a packet id of its own could meet one of the queue's.
  tellRemote(link: RemoteLink, state: "0" | "1"): void {
    const { notifications, remote, level } = this.#settings;
    if (!notifications) return;
    const message = { topic: this.#topic, payload: textBytes(state), retain: remote.retainAvailable };
    link.send(encodePacket({ type: "publish", ...message, qos: 0, dup: false, id: 0 }, level));
  }

  /** Empty: nothing is retained any more. */
  tellHere(state: "0" | "1" | ""): void {
    if (!this.#settings.notifications) return;
    const { publishing, clock } = this.#here;
    publishing.publish({
      topic: this.#topic,
      payload: textBytes(state),
      qos: 1,
      retain: true,
      atMs: clock.nowMs(),
      carried: undefined,
      expiresAtMs: undefined,
      publisher: undefined,
      committed() {},
    });
  }
}

function textBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
