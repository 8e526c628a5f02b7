import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import {
  connackCodes,
  reasonCodes,
  type AuthPacket,
  type ConnectPacket,
  type Properties,
} from "@cortado/wire/mqtt";
import { OWN_SESSION_PREFIX } from "../bridge/own-session.ts";
import type { Journal } from "../journal/journal.ts";
import type { MessageLog, Row } from "../journal/message-log.ts";
import { jsonRecord, recordKinds, type PresenceRecord, type SessionRecord } from "../journal/records.ts";
import { CLIENT_ID_BYTES_MAX, type BrokerLimits } from "../limits.ts";
import type { BrokerTime, TimePair } from "../session/broker-time.ts";
import { Outbox, type OutboxHost } from "../session/outbox.ts";

import type { Registry } from "../session/registry.ts";
import { keptExpiry, NEVER_MS, type Session } from "../session/session.ts";
import type { Authenticate, Authorize, Redirect } from "./access.ts";
import { userIn, type Trust } from "./accept.ts";
import { Enhanced, type VerifierOf } from "./enhanced.ts";
import type { Cursors } from "./cursors.ts";
import { reservedRefusal } from "./incoming.ts";
import { outboxHostOf } from "./outbox-host.ts";
import type { Peer } from "./peer.ts";
import type { Publishing } from "./publishing.ts";
import type { Shares } from "./shares.ts";
import type { Tally } from "./tally.ts";
import type { Wills } from "./wills.ts";

export type AdmissionOptions = {
  readonly limits: BrokerLimits;
  readonly time: BrokerTime;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly messages: MessageLog;
  readonly publishing: Publishing;
  readonly authenticate: Authenticate | undefined;
  readonly authorize: Authorize | undefined;
  readonly scramVerifierOf: VerifierOf | undefined;
  readonly redirect: Redirect | undefined;
  /** Where a client that asks may have its answers sent (response information). */
  readonly responseTopics: (clientId: string) => string;
  readonly tally: Tally;
  readonly wills: Wills;
  readonly shares: Shares;
  readonly cursors: Cursors;
  readonly refused: (peer: Peer, what: { readonly reason: string; readonly protocolFault: boolean }) => void;
  readonly roomFreed: () => void;
  /** A stored message is done with, for this session. */
  readonly acknowledged: (session: Session, row: Row) => void;
};

/** CONNECT: who it is, whose session it gets, and CONNACK only when that session would survive a power cut. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #enhanced: Enhanced;
  readonly #outboxHost: OutboxHost;
  /** Who has sent CONNECT and is not gone, by client id: most often one. */
  readonly #named: Map<string, readonly Peer[]> = new Map();

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#outboxHost = outboxHostOf(options);
    this.#enhanced = new Enhanced({
      ...options,
      known: (peer, packet) => this.#goOn(peer, packet),
    });
  }

  connect(peer: Peer, packet: ConnectPacket): void {
    const { random, redirect } = this.#options;
    const fault = clientIdFault(packet);
    if (fault !== undefined) {
      this.#refuse(peer, {
        code: connackCodes.identifierRejected,
        code5: reasonCodes.badClientId,
        reason: fault,
      });
      return;
    }
    if (packet.clientId === "") peer.clientId = `auto-${random.uuid()}`;
    this.#named.set(peer.clientId, [...(this.#named.get(peer.clientId) ?? []), peer]);
    const elsewhere = packet.level === 5 ? redirect?.({ clientId: peer.clientId }) : undefined;
    if (elsewhere !== undefined) {
      peer.refuse({
        code: connackCodes.serverUnavailable,
        code5: elsewhere.forGood ? reasonCodes.serverMoved : reasonCodes.useAnotherServer,
        reason: `this client belongs to ${elsewhere.server}`,
        more: { serverReference: elsewhere.server },
      });
      return;
    }
    if (packet.properties?.authenticationMethod === undefined) this.#goOn(peer, packet);
    else this.#enhanced.connect(peer, packet);
  }

  auth(peer: Peer, packet: AuthPacket): void {
    this.#enhanced.auth(peer, packet);
  }

  #goOn(peer: Peer, packet: ConnectPacket): void {
    const { log } = this.#options;
    void this.#admit(peer, packet).catch((error: unknown) => {
      log.error("mqtt client could not be admitted", { client: peer.clientId, error });
      if (peer.phase !== "closed")
        peer.refuse({
          code: connackCodes.serverUnavailable,
          code5: reasonCodes.unspecified,
          reason: "an internal error occurred; the broker's log has its cause",
        });
    });
  }

  /** It is gone, or on its way out. */
  left(peer: Peer): void {
    const others = (this.#named.get(peer.clientId) ?? []).filter((other) => other !== peer);
    if (others.length > 0) this.#named.set(peer.clientId, others);
    else this.#named.delete(peer.clientId);
  }

  #refuse(peer: Peer, why: Parameters<Peer["refuse"]>[0]): void {
    this.#options.refused(peer, { reason: why.reason, protocolFault: false });
    peer.refuse(why);
  }

  async #admit(peer: Peer, packet: ConnectPacket): Promise<void> {
    const { username } = packet;
    if (peer.came.identity !== undefined && peer.came.identity.user === undefined) {
      this.#refuse(peer, {
        code: connackCodes.badCredentials,
        code5: reasonCodes.badCredentials,
        reason: "the client's certificate has no name to know it by, or it has shown none",
      });
      return;
    }
    const who = await this.#whoIs(peer, packet);
    if (peer.phase === "closed") return;
    if (who === undefined) {
      this.#refuse(peer, {
        code: username === undefined ? connackCodes.notAuthorized : connackCodes.badCredentials,
        code5: username === undefined ? reasonCodes.notAuthorized : reasonCodes.badCredentials,
        reason: `user ${username ?? "(none)"} is not let in: unknown, or the password is wrong`,
      });
      return;
    }
    peer.user = userIn(peer.came.realm, who.user);
    if (this.#isRefusedAsKnown(peer, packet) || this.#isWillRefused(peer, packet)) return;
    for (const other of this.#named.get(peer.clientId) ?? [])
      if (other !== peer) other.fail("its client id connected anew", { code: reasonCodes.sessionTakenOver });
    // Behind it come the records of the session, and the CONNACK.
    if (packet.will !== undefined) peer.keptWill = this.#options.wills.keep(peer.clientId, packet.will);
    this.#attach(peer, packet);
  }

  async #whoIs(peer: Peer, { username, password }: ConnectPacket): Promise<Trust | undefined> {
    const { authenticate } = this.#options;
    if (peer.trusted !== undefined) return peer.trusted;
    if (peer.shown !== undefined) return { user: peer.shown.user };
    if (peer.came.identity?.user !== undefined) return { user: peer.came.identity.user };
    if (authenticate === undefined) return { user: username ?? "" };
    const { clientId } = peer;
    const { certificate, realm } = peer.came;
    const { remote } = peer.connection;
    return authenticate({
      clientId,
      username,
      password,
      remote,
      ...(certificate === undefined ? {} : { certificate }),
      ...(realm === undefined ? {} : { realm }),
    });
  }

  /** A will is a publish: what its client may not say alive it may not say dead. */
  #isWillRefused(peer: Peer, { will }: ConnectPacket): boolean {
    const { authorize } = this.#options;
    if (will === undefined || peer.trusted !== undefined) return false;
    const { user, clientId } = peer;
    const { topic } = will;
    const isAllowed = authorize?.({ user, clientId, action: "publish", topic }) !== false;
    const refusal =
      reservedRefusal(topic) ??
      (isAllowed
        ? undefined
        : { code: reasonCodes.notAuthorized, reason: `user ${user} may not have a will on ${topic}` });
    if (refusal === undefined) return false;
    this.#refuse(peer, { code: connackCodes.notAuthorized, code5: refusal.code, reason: refusal.reason });
    return true;
  }

  #isRefusedAsKnown(peer: Peer, packet: ConnectPacket): boolean {
    const { authenticate, registry, limits } = this.#options;
    const known = registry.byClientId.get(peer.clientId);
    const isSure = authenticate !== undefined || peer.shown !== undefined || peer.came.identity !== undefined;
    // A session of nobody is from the time when everybody was let in.
    const isOwned = known !== undefined && known.user !== "" && known.user !== peer.user;
    if (isSure && isOwned) {
      this.#refuse(peer, {
        code: connackCodes.notAuthorized,
        code5: reasonCodes.notAuthorized,
        reason: `client id ${peer.clientId} belongs to another user`,
      });
      return true;
    }
    if (known !== undefined || !isKept(packet) || registry.byNumber.size < limits.sessionsMax) return false;
    this.#refuse(peer, {
      code: connackCodes.serverUnavailable,
      code5: reasonCodes.quotaExceeded,
      reason: `${limits.sessionsMax} persistent sessions are kept`,
    });
    return true;
  }

  #attach(peer: Peer, packet: ConnectPacket): void {
    const { registry, journal, time, wills } = this.#options;
    const known = registry.byClientId.get(peer.clientId);
    if (!packet.cleanSession && known?.persistent === true) {
      wills.cameBack(peer.clientId);
      known.expiryMs = expiryMsOf(packet);
      const adopted = known.user === "" && peer.user !== "" ? { user: peer.user } : {};
      known.user = adopted.user ?? known.user;
      const presence = presenceOf(known, { leftMs: undefined, time: time.pair() });
      journal.add({
        record: jsonRecord(recordKinds.presence, { ...presence, ...adopted }),
        committed: () => {
          // Its session may have gone while that was written.
          if (registry.byNumber.get(known.number) === known)
            this.#begin(peer, { packet, session: known, present: true });
          else if (peer.phase === "connecting") this.#attach(peer, packet);
        },
      });
      return;
    }
    wills.ended(peer.clientId);
    if (known?.persistent === true) this.forget(known, () => this.#attachNew(peer, packet));
    else this.#attachNew(peer, packet);
  }

  #attachNew(peer: Peer, packet: ConnectPacket): void {
    const { registry, journal, time } = this.#options;
    if (peer.phase !== "connecting") return;
    const nowMs = time.nowMs();
    if (!isKept(packet)) {
      const begin = (): void => {
        if (peer.phase !== "connecting") return;
        const session = registry.addClean(peer.clientId, { user: peer.user, nowMs });
        this.#begin(peer, { packet, session, present: false });
      };
      if (peer.keptWill === undefined) begin();
      else journal.add({ committed: begin });
      return;
    }
    const expiryMs = expiryMsOf(packet);
    const record: SessionRecord = {
      number: registry.nextSession,
      clientId: peer.clientId,
      user: peer.user,
      filters: [],
      through: registry.nextSequence - 1,
      ahead: [],
      receiving: [],
      ...(expiryMs === undefined ? {} : { expiryMs: keptExpiry(expiryMs) }),
      time: time.pair(),
    };
    registry.nextSession += 1;
    const committed = (): void =>
      this.#begin(peer, { packet, session: registry.addPersistent(record, nowMs), present: false });
    journal.add({ record: jsonRecord(recordKinds.session, record), committed });
  }

  #begin(peer: Peer, { packet, session, present }: Beginning): void {
    if (peer.phase !== "connecting") return;
    peer.accepted(session, {
      present,
      ...(packet.level === 5 ? { properties: this.#connackProperties(peer, packet) } : {}),
    });
    session.outbox = new Outbox({ session, sink: peer, host: this.#outboxHost });
    session.outbox.wake();
    peer.proceed();
  }

  #connackProperties(peer: Peer, { clientId, properties }: ConnectPacket): Properties {
    const { limits, responseTopics } = this.#options;
    const { keepAliveMaxS } = limits;
    const isLong = keepAliveMaxS > 0 && (peer.keepAliveMs === 0 || peer.keepAliveMs > keepAliveMaxS * 1_000);
    if (isLong) peer.keepAliveMs = keepAliveMaxS * 1_000;
    return {
      receiveMaximum: limits.receiveMax,
      topicAliasMaximum: limits.topicAliasMax,
      maximumPacketSizeBytes: limits.packetBytesMax,
      ...peer.shown?.properties,
      ...(clientId === "" ? { assignedClientIdentifier: peer.clientId } : {}),
      ...(isLong ? { serverKeepAliveS: keepAliveMaxS } : {}),
      ...(properties?.requestResponseInformation === 1
        ? { responseInformation: responseTopics(peer.clientId) }
        : {}),
    };
  }

  /** Ends a persistent session for good, durably; then goes on. */
  forget(session: Session, then: () => void): void {
    const { shares, journal, log } = this.#options;
    if (!shares.isMember(session)) {
      this.#remove(session, then);
      return;
    }
    shares.leave(session);
    const handOver = (): Promise<void> =>
      shares
        .handOverStored(session)
        .catch((error: unknown) =>
          log.error("mqtt messages of a lost member could not be read", { client: session.clientId, error }),
        )
        .finally(() => this.#remove(session, then));
    // Messages that were given to it before and are not on disk yet are read with the others.
    journal.add({ committed: () => void handOver() });
  }

  #remove(session: Session, then: () => void): void {
    const { journal, registry, publishing, cursors, roomFreed } = this.#options;
    journal.add({
      record: jsonRecord(recordKinds.sessionRemoved, { session: session.number }),
      committed: () => {
        registry.remove(session, (number) => journal.segments.find((segment) => segment.number === number));
        publishing.settleAll(session);
        cursors.forget(session);
        roomFreed();
        then();
      },
    });
  }
}

type Beginning = { readonly packet: ConnectPacket; readonly session: Session; readonly present: boolean };

/** Whether the session outlives its connection. */
function isKept(packet: ConnectPacket): boolean {
  return expiryMsOf(packet) !== 0;
}

function expiryMsOf({ level, cleanSession, properties }: ConnectPacket): number | undefined {
  if (level < 5) return cleanSession ? 0 : undefined;
  return expiryFromS(properties?.sessionExpiryIntervalS ?? 0);
}

export function expiryFromS(seconds: number): number {
  return seconds === 0xffffffff ? NEVER_MS : seconds * 1_000;
}

export function presenceOf(
  { number, expiryMs }: Session,
  { leftMs, time }: { readonly leftMs: number | undefined; readonly time: TimePair },
): PresenceRecord {
  return {
    session: number,
    ...(expiryMs === undefined ? {} : { expiryMs: keptExpiry(expiryMs) }),
    ...(leftMs === undefined ? {} : { leftMs }),
    time,
  };
}

function clientIdFault({ clientId, cleanSession, level }: ConnectPacket): string | undefined {
  if (clientId.startsWith(OWN_SESSION_PREFIX))
    return `client ids with ${OWN_SESSION_PREFIX} are the broker's own`;
  if (clientId === "" && level === 3) return "MQTT 3.1 asks for a client id";
  if (clientId === "" && level === 4 && !cleanSession)
    return "a persistent session needs a client id (MQTT-3.1.3-8)";
  return clientId.length > CLIENT_ID_BYTES_MAX
    ? `a client id is over ${CLIENT_ID_BYTES_MAX} bytes`
    : undefined;
}
