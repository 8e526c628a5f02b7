import type { QoS } from "@cortado/wire/mqtt";
import type { Publishing } from "../broker/publishing.ts";
import type { Journal } from "../journal/journal.ts";
import {
  jsonRecord,
  recordKinds,
  type DueRetained,
  type FilterRecord,
  type SessionRecord,
} from "../journal/records.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import type { Grant } from "../session/grant.ts";
import type { Registry } from "../session/registry.ts";
import { keptExpiry, NEVER_MS, type Session } from "../session/session.ts";

/** Client ids of the broker's own sessions: no client may have one of these. */
export const OWN_SESSION_PREFIX = "$bridge/";

/** Whose they are: no user of the broker's may be called so. */
const OWN_SESSION_USER = "$bridge";

export type OwnSessionOptions = {
  readonly registry: Registry;
  readonly journal: Journal;
  readonly publishing: Publishing;
  readonly time: BrokerTime;
};

/** A durable session without a connection, found or made. Resolves when it is on disk. */
export async function openOwnSession(
  name: string,
  { registry, journal, time }: OwnSessionOptions,
): Promise<Session> {
  const clientId = `${OWN_SESSION_PREFIX}${name}`;
  const known = registry.byClientId.get(clientId);
  if (known?.persistent === true) return known;
  const record: SessionRecord = {
    number: registry.nextSession,
    clientId,
    user: OWN_SESSION_USER,
    filters: [],
    through: registry.nextSequence - 1,
    ahead: [],
    receiving: [],
    expiryMs: keptExpiry(NEVER_MS),
    time: time.pair(),
  };
  registry.nextSession += 1;
  const { promise, resolve } = Promise.withResolvers<Session>();
  journal.add({
    record: jsonRecord(recordKinds.session, record),
    committed: () => resolve(registry.addPersistent(record, time.nowMs())),
  });
  return promise;
}

/**
 * Makes these the session's subscriptions. Retained messages of those that are new go into its queue, at QoS 1 at least, as there
 * is no connection that could take them now; what a power cut or an end keeps from it goes there the next time.
 */
export async function subscribeOwn(
  session: Session,
  filters: ReadonlyMap<string, QoS>,
  { registry, journal, publishing, signal }: OwnSessionOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const changed = [...filters]
    .filter(([filter, qos]) => session.filters.get(filter)?.qos !== qos)
    .map(([filter, qos]): FilterRecord => {
      const known = session.filters.get(filter);
      const due = known === undefined && qos > 0 ? {} : known?.due;
      return { filter, qos, noLocal: true, retainAsPublished: true, ...(due === undefined ? {} : { due }) };
    });
  const gone = [...session.filters.keys()].filter((filter) => !filters.has(filter));
  if (changed.length > 0) {
    const record = jsonRecord(recordKinds.subscribed, { session: session.number, filters: changed });
    await written(journal, { record, apply: () => registry.subscribe(session, changed) });
  }
  if (gone.length > 0) {
    const record = jsonRecord(recordKinds.unsubscribed, { session: session.number, filters: gone });
    await written(journal, { record, apply: () => registry.unsubscribe(session, gone) });
  }
  const since = registry.nextSequence;
  // What was published before and is on its way to disk reached no subscription of this session: it must be kept first.
  await journal.flushed();
  for (const { filter, due } of [...session.filters.values()])
    if (due !== undefined && !signal.aborted)
      await queueRetained(session, { filter, due: { since, ...due }, registry, journal, publishing, signal });
}

type Retained = Pick<OwnSessionOptions, "registry" | "journal" | "publishing"> & {
  readonly filter: string;
  readonly due: DueRetained & { readonly since: number };
  readonly signal: AbortSignal;
};

/** Queues a batch after another, and notes behind each how far it is. A power cut has at most the last batch queued twice. */
async function queueRetained(
  session: Session,
  { filter, due, registry, journal, publishing, signal }: Retained,
): Promise<void> {
  const { since, after } = due;
  const note = (next: DueRetained | undefined): Promise<void> => {
    const terms = session.filters.get(filter);
    if (terms === undefined) return Promise.resolve(); // it was unsubscribed meanwhile
    const { grant: _grant, due: _due, ...kept } = terms;
    const filters = [{ ...kept, ...(next === undefined ? {} : { due: next }) }];
    const record = jsonRecord(recordKinds.subscribed, { session: session.number, filters });
    return written(journal, { record, apply: () => registry.subscribe(session, filters) });
  };
  await note(due);
  const reader = registry.retained.matching(filter, { after });
  while (!signal.aborted) {
    const batch = await reader.next();
    const terms = session.filters.get(filter);
    if (signal.aborted || terms === undefined) return;
    if (batch === undefined || terms.qos === 0) {
      await note(undefined);
      return;
    }
    const grant: Grant = { ...terms.grant, isRetained: true };
    for (const message of batch)
      if (message.sequence < since)
        publishing.publishTo(
          { sessions: [session], grants: [grant] },
          { ...message, qos: message.qos === 0 ? 1 : message.qos },
        );
    await note({ since, ...(reader.passed === undefined ? {} : { after: reader.passed }) });
  }
}

/** Resolves when the record is on disk; what it changes in memory is changed then. */
export function written(
  journal: Journal,
  { record, apply }: { readonly record: Uint8Array; readonly apply: () => void },
): Promise<void> {
  return new Promise((resolve) => {
    journal.add({
      record,
      committed: () => {
        apply();
        resolve();
      },
    });
  });
}
