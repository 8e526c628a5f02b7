import type { Journal } from "../journal/journal.ts";
import type { Registry } from "../session/registry.ts";
import type { Peer } from "./peer.ts";
import type { Publishing } from "./publishing.ts";
import type { Levels, Tally } from "./tally.ts";

export type LevelsSource = {
  readonly registry: Registry;
  readonly journal: Journal;
  readonly publishing: Publishing;
  readonly peers: ReadonlySet<Peer>;
  /** What was most is noted there. */
  readonly tally: Tally;
  readonly damagedFiles: number;
  readonly heldClients: number;
  readonly endingClients: number;
  readonly uptimeS: number;
  readonly load: Levels["load"];
};

/** What the broker is now: looks at each client and session. */
export function levelsOf(source: LevelsSource): Levels {
  const { registry, journal, publishing, peers, tally } = source;
  const { damagedFiles, heldClients, endingClients, uptimeS, load } = source;
  let connected = 0;
  let inflight = 0;
  for (const { phase, session } of peers) {
    if (phase !== "open") continue;
    connected += 1;
    inflight += session?.outbox?.inflight ?? 0;
  }
  let offline = 0;
  for (const { outbox } of registry.byNumber.values()) if (outbox === undefined) offline += 1;
  const { heapUsed } = process.memoryUsage();
  tally.clientsMaximum = Math.max(tally.clientsMaximum, connected);
  tally.heapMaximum = Math.max(tally.heapMaximum, heapUsed);
  return {
    clientsConnected: connected,
    clientsTotal: connected + offline,
    subscriptions: registry.subscriptions,
    sharedSubscriptions: registry.sharedSubscriptions,
    retained: registry.retained.items,
    retainedBytes: registry.retained.bytes,
    queuedItems: publishing.queuedItems,
    queuedBytes: publishing.queuedBytes,
    inflight,
    wills: registry.wills.size,
    journalBytes: journal.bytes,
    journalWrittenBytes: journal.writtenBytes,
    heldClients,
    endingClients,
    damagedFiles,
    heapBytes: heapUsed,
    uptimeS,
    writable: journal.fault === undefined,
    load,
  };
}
