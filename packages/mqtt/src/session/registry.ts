import { shareOf } from "@cortado/wire/mqtt";
import type {
  CursorRecord,
  FilterRecord,
  Message,
  PresenceRecord,
  SessionRecord,
} from "../journal/records.ts";
import type { Segment } from "../journal/segment.ts";
import type { KeptWill } from "../journal/will-record.ts";
import type { RetainedMessages } from "../retained/retained.ts";
import { SubscriptionTree } from "../topics/tree.ts";
import { carriedProperties, ownMark, mayBeMarked } from "../bridge/mark.ts";
import { plainGrants, type Grant } from "./grant.ts";
import { HeardBridges } from "./heard-bridges.ts";
import { readExpiry, Session, type Tenant } from "./session.ts";
import { ShareGroup } from "./share-group.ts";

type NewClean = { readonly user: string; readonly nowMs: number };

/**
 * The state that the journal's records add up to. Recovery and the running broker change it by the same methods, the latter only
 * once a record is committed.
 */
export class Registry {
  readonly tree: SubscriptionTree<Session> = new SubscriptionTree();
  readonly shares: SubscriptionTree<ShareGroup> = new SubscriptionTree();
  readonly #groups: Map<string, ShareGroup> = new Map();
  /** Bridges of other brokers that publish here. */
  readonly heard: HeardBridges = new HeardBridges();
  readonly retained: RetainedMessages;
  readonly byNumber: Map<number, Session> = new Map();
  readonly byClientId: Map<string, Session> = new Map();
  nextSequence = 1;
  nextSession = 1;
  nextWill = 1;
  /** Of clients that are connected, or gone and not come back in time. */
  readonly wills: Map<number, KeptWill> = new Map();
  /** Members of shared subscriptions; those and the tree's are all. */
  #shared = 0;

  readonly #tenantName: (user: string) => string;
  readonly #tenants: Map<string, Tenant> = new Map();

  constructor(options: { readonly retained: RetainedMessages; readonly tenantOf: (user: string) => string }) {
    this.retained = options.retained;
    this.#tenantName = options.tenantOf;
  }

  get subscriptions(): number {
    return this.tree.size + this.#shared;
  }

  get sharedSubscriptions(): number {
    return this.#shared;
  }

  #tenantOf(user: string): Tenant {
    const name = this.#tenantName(user);
    let tenant = this.#tenants.get(name);
    if (tenant === undefined) this.#tenants.set(name, (tenant = { name, bytes: 0 }));
    return tenant;
  }

  group(name: string): ShareGroup | undefined {
    return this.#groups.get(name);
  }

  /** Adds a session; when another record was first with this client id, that one stays, here as at every recovery. */
  addPersistent(record: SessionRecord, nowMs: number): Session {
    this.nextSession = Math.max(this.nextSession, record.number + 1);
    const known = this.byClientId.get(record.clientId);
    if (known?.persistent === true) return known;
    const session = new Session({
      number: record.number,
      clientId: record.clientId,
      user: record.user,
      tenant: this.#tenantOf(record.user),
      nowMs: record.leftMs ?? nowMs,
      expiryMs: readExpiry(record.expiryMs),
    });
    session.through = record.through;
    for (const sequence of record.ahead) session.ahead.add(sequence);
    for (const span of record.spans ?? []) session.spans.add(span);
    for (const packetId of record.receiving) session.receiving.commit(packetId);
    for (const sequence of record.released ?? []) session.released.add(sequence);
    this.byNumber.set(session.number, session);
    this.byClientId.set(session.clientId, session);
    this.subscribe(session, record.filters);
    return session;
  }

  addClean(clientId: string, { user, nowMs }: NewClean): Session {
    const session = new Session({ number: 0, clientId, user, tenant: noTenant, nowMs, expiryMs: 0 });
    this.byClientId.set(clientId, session);
    return session;
  }

  /** Forgets a session with all that waits for it. */
  remove(session: Session, segmentOf: (number: number) => Segment | undefined): void {
    this.unsubscribe(session, [...session.filters.keys()]);
    this.byNumber.delete(session.number);
    if (this.byClientId.get(session.clientId) === session) this.byClientId.delete(session.clientId);
    for (const [number, { items, bytes }] of session.rows) {
      const segment = segmentOf(number);
      if (segment === undefined) continue;
      segment.rows -= items;
      segment.rowBytes -= bytes;
    }
    session.clearRows();
  }

  subscribe(session: Session, filters: readonly FilterRecord[]): void {
    for (const kept of filters) {
      const grant = grantOf(kept);
      const share = shareOf(kept.filter);
      if (share === undefined) this.tree.add(kept.filter, { owner: session, grant });
      else {
        if (!session.filters.has(kept.filter)) this.#shared += 1;
        this.#groupFor(kept.filter, share.filter).put(session, grant);
      }
      session.filters.set(kept.filter, { ...kept, grant });
    }
  }

  unsubscribe(session: Session, filters: readonly string[]): void {
    for (const filter of filters) {
      if (!session.filters.delete(filter)) continue;
      const group = this.#groups.get(filter);
      if (group === undefined) this.tree.remove(filter, session);
      else {
        this.#shared -= 1;
        group.drop(session);
        if (!group.isEmpty) continue;
        this.shares.remove(group.filter, group);
        this.#groups.delete(filter);
      }
    }
  }

  keepWill(kept: KeptWill): void {
    this.nextWill = Math.max(this.nextWill, kept.id + 1);
    this.wills.set(kept.id, kept);
  }

  setCursor({ session: number, through, ahead, spans = [] }: CursorRecord): void {
    const session = this.byNumber.get(number);
    if (session === undefined) return;
    session.through = Math.max(session.through, through);
    session.ahead.clear();
    for (const sequence of ahead) session.ahead.add(sequence);
    session.spans.clear();
    for (const span of spans) session.spans.add(span);
    for (const sequence of session.released)
      if (!session.waitsFor(sequence)) session.released.delete(sequence);
  }

  setPresence({ session: number, expiryMs, leftMs, user }: PresenceRecord, nowMs: number): void {
    const session = this.byNumber.get(number);
    if (session === undefined) return;
    session.expiryMs = readExpiry(expiryMs);
    session.leftMs = leftMs ?? nowMs;
    session.user = user ?? session.user;
  }

  /** What a message changes beside the queues. */
  noteMessage(message: Message): void {
    this.nextSequence = Math.max(this.nextSequence, message.sequence + 1);
    if (message.retain) this.retained.keep(message);
    if (mayBeMarked(message.carried)) {
      const mark = ownMark(carriedProperties(message.carried).userProperties);
      if (mark !== undefined) this.heard.note(mark);
    }
    if (message.origin !== undefined)
      this.byNumber.get(message.origin.session)?.receiving.commit(message.origin.packetId);
  }

  /** What a message adds to the queues. `bytes` is the size of its record. */
  addRows(message: Message, { segment, bytes }: { readonly segment: Segment; readonly bytes: number }): void {
    for (const recipient of message.recipients) {
      const session = this.byNumber.get(recipient);
      if (session?.waitsFor(message.sequence) !== true) continue;
      session.addRow(segment, { sequence: message.sequence, bytes });
    }
  }

  #groupFor(name: string, filter: string): ShareGroup {
    let group = this.#groups.get(name);
    if (group === undefined) {
      this.#groups.set(name, (group = new ShareGroup({ name, filter })));
      this.shares.add(filter, { owner: group, grant: plainGrants[2] });
    }
    return group;
  }
}

/** Of sessions for which nothing waits on disk. */
const noTenant: Tenant = { name: "", bytes: 0 };

function grantOf({ filter, qos, noLocal, retainAsPublished, identifier }: FilterRecord): Grant {
  const isShared = filter.startsWith("$share/");
  if (noLocal !== true && retainAsPublished !== true && identifier === undefined && !isShared)
    return plainGrants[qos];
  return {
    qos,
    noLocal: noLocal ?? false,
    retainAsPublished: retainAsPublished ?? false,
    identifiers: identifier === undefined ? undefined : [identifier],
    share: isShared ? filter : undefined,
    isRetained: false,
  };
}
