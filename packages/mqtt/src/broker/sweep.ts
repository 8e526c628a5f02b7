import { every, type Clock } from "@cortado/std/clock";
import type { Log } from "@cortado/std/log";
import { reasonCodes } from "@cortado/wire/mqtt";
import { CONNECT_WAIT_MS, SWEEP_MS, type BrokerLimits } from "../limits.ts";
import type { BrokerTime } from "../session/broker-time.ts";
import type { Registry } from "../session/registry.ts";
import type { Session } from "../session/session.ts";
import type { Turns } from "../turns.ts";
import type { Peer } from "./peer.ts";

export type SweepOptions = {
  readonly clock: Clock;
  readonly time: BrokerTime;
  readonly turns: Turns;
  readonly log: Log;
  readonly limits: BrokerLimits;
  readonly registry: Registry;
  readonly peers: ReadonlySet<Peer>;
  /** Told their last, with the time when they are cut off. */
  readonly leaving: ReadonlyMap<Peer, number>;
  readonly expired: (session: Session) => void;
  /** All were looked at. */
  readonly swept: () => void;
};

/** Looks now and then for who is silent and what is over. Of ten thousand a look takes its time: it is shared out over turns of the loop. */
export class Sweep implements Disposable {
  readonly #options: SweepOptions;
  readonly #timer: Disposable;
  #isUnderWay = false;
  #isOver = false;

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#timer = every(options.clock, SWEEP_MS, () => {
      if (this.#isUnderWay) return;
      this.#isUnderWay = true;
      void this.#look().finally(() => (this.#isUnderWay = false));
    });
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer[Symbol.dispose]();
  }

  async #look(): Promise<void> {
    const { clock, turns, peers, leaving, registry, swept } = this.#options;
    for (const peer of [...peers]) {
      this.#lookAt(peer);
      if (turns.isOver) await turns.over();
      if (this.#isOver) return;
    }
    const nowMs = clock.monotonicMs();
    for (const [peer, atMs] of leaving) if (nowMs > atMs) peer.connection.destroy();
    for (const session of registry.byNumber.values()) {
      this.#expire(session);
      if (turns.isOver) await turns.over();
      if (this.#isOver) return;
    }
    swept();
  }

  #lookAt(peer: Peer): void {
    const nowMs = this.#options.clock.monotonicMs();
    const isNew = peer.phase === "new" || peer.phase === "authenticating";
    if (isNew && nowMs - peer.lastSeenMs > CONNECT_WAIT_MS)
      peer.fail(`no ${peer.phase === "new" ? "CONNECT" : "AUTH"} within ${CONNECT_WAIT_MS} ms`);
    else if (peer.phase === "open" && peer.isSilent(nowMs))
      peer.fail("silent for longer than its keep-alive", { code: reasonCodes.keepAliveTimeout });
  }

  #expire(session: Session): void {
    const { limits, log, time, expired } = this.#options;
    const nowMs = time.nowMs();
    const expiryMs = session.expiryMs ?? limits.sessionExpiryMs;
    if (session.outbox !== undefined || nowMs - session.leftMs < expiryMs) return;
    log.warn("mqtt session expired: nobody came back to it", {
      client: session.clientId,
      queued: session.items,
    });
    session.leftMs = nowMs; // once
    expired(session);
  }
}
