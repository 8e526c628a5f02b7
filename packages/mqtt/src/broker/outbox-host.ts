import type { Log } from "@cortado/std/log";
import type { Journal } from "../journal/journal.ts";
import type { MessageLog, Row } from "../journal/message-log.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import type { BrokerLimits } from "../limits.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import type { OutboxHost } from "../session/outbox.ts";
import type { Session } from "../session/session.ts";
import type { Tally } from "./tally.ts";

export type OutboxHostOptions = {
  readonly messages: MessageLog;
  readonly limits: BrokerLimits;
  readonly log: Log;
  readonly tally: Tally;
  readonly time: BrokerTime;
  readonly journal: Journal;
  readonly acknowledged: (session: Session, row: Row) => void;
};

/** What outboxes do with the broker around them, made once for all. */
export function outboxHostOf({
  messages: log,
  limits,
  log: events,
  tally,
  time,
  journal,
  acknowledged,
}: OutboxHostOptions): OutboxHost {
  return {
    log,
    inflightMax: limits.inflightMax,
    nowMs: () => time.nowMs(),
    sent: ({ payload }) => {
      tally.publishSent += 1;
      tally.publishBytesSent += payload.byteLength;
    },
    dropped: () => void (tally.publishDropped += 1),
    skipped: (session, committed) => {
      tally.publishDropped += 1;
      acknowledged(session, committed);
    },
    received: (session, sequence, then) => {
      session.released.add(sequence);
      journal.add({
        record: jsonRecord(recordKinds.received, { session: session.number, sequence }),
        committed: then,
      });
    },
    failed: (session, error) =>
      events.error("mqtt queue could not be read", { client: session.clientId, error }),
  };
}
