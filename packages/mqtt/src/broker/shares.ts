import type { MessageLog, Place } from "../journal/message-log.ts";
import type { Registry } from "../session/registry.ts";
import type { Session, Transient } from "../session/session.ts";
import type { Publishing } from "./publishing.ts";

export type SharesOptions = {
  readonly registry: Registry;
  readonly messages: MessageLog;
  readonly publishing: Publishing;
};

/** What a member of shared subscriptions leaves when its session is over goes to the others (MQTT 5, section 4.8.2). */
export class Shares {
  readonly #options: SharesOptions;

  constructor(options: SharesOptions) {
    this.#options = options;
  }

  isMember({ filters }: Session): boolean {
    for (const name of filters.keys()) if (name.startsWith("$share/")) return true;
    return false;
  }

  /** Takes a session out of its groups, so that it gets nothing more. */
  leave(session: Session): void {
    const names = [...session.filters.keys()].filter((name) => name.startsWith("$share/"));
    this.#options.registry.unsubscribe(session, names);
  }

  /** Messages that waited in memory only. */
  handOver(left: readonly Transient[]): void {
    for (const { message, grant } of left)
      if (grant.share !== undefined) this.#options.publishing.handOn(message, grant.share);
  }

  /** Messages in the journal that wait for a session; it must have left its groups. */
  async handOverStored(session: Session): Promise<void> {
    const { messages } = this.#options;
    let sequence = session.through + 1;
    let place: Place | undefined;
    for (;;) {
      const batch = await messages.read(session, { sequence, place });
      const left: Transient[] = [];
      for (const { message } of batch.messages) {
        sequence = message.sequence + 1;
        const grant = message.grants?.[message.recipients.indexOf(session.number)];
        // What it has of QoS 2, or may have, must not come to another as well (MQTT-4.8.2-5).
        const isIts = message.qos === 2 && message.sequence <= session.sentThrough;
        if (grant?.share !== undefined && !isIts) left.push({ message, grant });
      }
      this.handOver(left);
      if (batch.ended) return;
      place = batch.place;
    }
  }
}
