import type { Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { connackCodes, type ConnectPacket } from "@cortado/wire/mqtt";
import type { Journal } from "../journal/journal.ts";
import type { MessageLog } from "../journal/message-log.ts";
import { jsonRecord, recordKinds } from "../journal/records.ts";
import { CLIENT_ID_BYTES_MAX, type BrokerLimits } from "../limits.ts";
import { Outbox } from "../session/outbox.ts";
import type { Registry } from "../session/registry.ts";
import type { Session } from "../session/session.ts";
import type { Authenticate } from "./access.ts";
import type { Cursors } from "./cursors.ts";
import type { Peer } from "./peer.ts";
import type { Publishing } from "./publishing.ts";
import type { Tally } from "./tally.ts";

export type AdmissionOptions = {
  readonly limits: BrokerLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly registry: Registry;
  readonly journal: Journal;
  readonly messages: MessageLog;
  readonly publishing: Publishing;
  readonly authenticate: Authenticate | undefined;
  readonly tally: Tally;
  readonly cursors: Cursors;
  readonly peers: ReadonlySet<Peer>;
  readonly refused: (peer: Peer, what: { readonly reason: string; readonly protocolFault: boolean }) => void;
  readonly roomFreed: () => void;
};

/** CONNECT: who it is, whose session it gets, and CONNACK only when that session would survive a power cut. */
export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  connect(peer: Peer, packet: ConnectPacket): void {
    const { random, log, refused } = this.#options;
    const fault = clientIdFault(packet);
    if (fault !== undefined) {
      refused(peer, { reason: fault, protocolFault: false });
      peer.refuse(connackCodes.identifierRejected);
      return;
    }
    if (packet.clientId === "") peer.clientId = `auto-${random.uuid()}`;
    void this.#admit(peer, packet).catch((error: unknown) => {
      log.error("mqtt client could not be admitted", { client: peer.clientId, error });
      if (peer.phase !== "closed") peer.refuse(connackCodes.serverUnavailable);
    });
  }

  async #admit(peer: Peer, packet: ConnectPacket): Promise<void> {
    const { authenticate, registry, limits, refused, peers } = this.#options;
    const { username, password } = packet;
    const credentials = { clientId: peer.clientId, username, password, remote: peer.connection.remote };
    const who =
      peer.trusted ??
      (authenticate === undefined ? { user: username ?? "" } : await authenticate(credentials));
    if (peer.phase === "closed") return;
    if (who === undefined) {
      refused(peer, {
        reason: `user ${username ?? "(none)"} is not let in: unknown, or the password is wrong`,
        protocolFault: false,
      });
      peer.refuse(username === undefined ? connackCodes.notAuthorized : connackCodes.badCredentials);
      return;
    }
    peer.user = who.user;
    const known = registry.byClientId.get(peer.clientId);
    if (authenticate !== undefined && known !== undefined && known.user !== who.user) {
      refused(peer, {
        reason: `client id ${peer.clientId} belongs to another user`,
        protocolFault: false,
      });
      peer.refuse(connackCodes.notAuthorized);
      return;
    }
    if (known === undefined && registry.byNumber.size >= limits.sessionsMax && !packet.cleanSession) {
      refused(peer, {
        reason: `${limits.sessionsMax} persistent sessions are kept`,
        protocolFault: false,
      });
      peer.refuse(connackCodes.serverUnavailable);
      return;
    }
    for (const other of peers)
      if (other !== peer && other.clientId === peer.clientId && other.phase !== "new")
        other.fail("its client id connected anew");
    this.#attach(peer, packet);
  }

  #attach(peer: Peer, { cleanSession, level }: ConnectPacket): void {
    const { registry, journal, clock } = this.#options;
    const known = registry.byClientId.get(peer.clientId);
    const begin = (session: Session, present: boolean): void => {
      if (peer.phase !== "connecting") return;
      peer.accepted(session, { present, level });
      session.outbox = this.#newOutbox(peer, session);
      session.outbox.wake();
      peer.proceed();
    };
    if (!cleanSession && known?.persistent === true) {
      begin(known, true);
      return;
    }
    if (!cleanSession) {
      const record = {
        number: registry.nextSession,
        clientId: peer.clientId,
        user: peer.user,
        filters: [],
        through: registry.nextSequence - 1,
        ahead: [],
        receiving: [],
      };
      registry.nextSession += 1;
      const committed = (): void => begin(registry.addPersistent(record, clock.monotonicMs()), false);
      journal.add({ record: jsonRecord(recordKinds.session, record), committed });
      return;
    }
    const beginClean = (): void => {
      if (peer.phase === "connecting")
        begin(registry.addClean(peer.clientId, { user: peer.user, nowMs: clock.monotonicMs() }), false);
    };
    if (known?.persistent === true) this.forget(known, beginClean);
    else beginClean();
  }

  /** Ends a persistent session for good, durably; then goes on. */
  forget(session: Session, then: () => void): void {
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

  #newOutbox(peer: Peer, session: Session): Outbox {
    const { messages, limits, log, tally } = this.#options;
    return new Outbox({
      session,
      sink: peer,
      log: messages,
      inflightMax: limits.inflightMax,
      sent: () => {
        tally.publishSent += 1;
        tally.messagesSent += 1;
      },
      dropped: () => void (tally.publishDropped += 1),
      failed: (error) => log.error("mqtt queue could not be read", { client: session.clientId, error }),
    });
  }
}

function clientIdFault({ clientId, cleanSession, level }: ConnectPacket): string | undefined {
  if (clientId === "" && level === 3) return "MQTT 3.1 asks for a client id";
  if (clientId === "" && !cleanSession) return "a persistent session needs a client id (MQTT-3.1.3-8)";
  return clientId.length > CLIENT_ID_BYTES_MAX
    ? `a client id is over ${CLIENT_ID_BYTES_MAX} bytes`
    : undefined;
}
