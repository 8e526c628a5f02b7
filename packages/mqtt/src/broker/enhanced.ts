import type { Log } from "@cortado/std/log";
import type { Random } from "@cortado/std/random";
import { messageOf } from "@cortado/std/status";
import {
  connackCodes,
  protocolError,
  reasonCodes,
  type AuthPacket,
  type ConnectPacket,
  type Properties,
} from "@cortado/wire/mqtt";
import { SCRAM_METHOD, ScramExchange, type ScramAnswer } from "../auth/scram.ts";
import { KEY_BYTES, type ScramVerifier } from "../auth/verifier.ts";
import type { Peer } from "./peer.ts";

/** Answers what is kept of a user's password, or undefined when there is no such user. */
export type VerifierOf = (client: {
  readonly user: string;
  readonly clientId: string;
  readonly remote: string;
}) => Promise<ScramVerifier | undefined>;

export type EnhancedOptions = {
  readonly random: Random;
  readonly log: Log;
  readonly scramVerifierOf: VerifierOf | undefined;
  readonly refused: (peer: Peer, what: { readonly reason: string; readonly protocolFault: boolean }) => void;
  /** It has shown who it is: CONNECT goes on. */
  readonly known: (peer: Peer, packet: ConnectPacket) => void;
};

type Running = {
  readonly exchange: ScramExchange;
  /** Undefined when a client that is let in shows again who it is. */
  readonly packet: ConnectPacket | undefined;
  isBusy: boolean;
};

const NONCE_BYTES = 18;

/** Enhanced authentication and re-authentication by AUTH (MQTT 5, section 4.12); SCRAM-SHA-256 is the only method. */
export class Enhanced {
  readonly #options: EnhancedOptions;
  readonly #running: WeakMap<Peer, Running> = new WeakMap();
  readonly #secret: Uint8Array;

  constructor(options: EnhancedOptions) {
    this.#options = options;
    this.#secret = options.random.bytes(KEY_BYTES);
  }

  /** CONNECT names a method: the exchange begins, or the client is told that it is not known. */
  connect(peer: Peer, packet: ConnectPacket): void {
    const { authenticationMethod: method, authenticationData } = packet.properties ?? {};
    peer.authenticationMethod = method;
    if (method !== SCRAM_METHOD || this.#options.scramVerifierOf === undefined) {
      const methods = this.#options.scramVerifierOf === undefined ? "" : `${SCRAM_METHOD} or `;
      this.#refuse(peer, {
        code5: reasonCodes.badAuthenticationMethod,
        reason: `authentication method ${method} is not known here; use ${methods}user name and password`,
      });
      return;
    }
    this.#step(peer, { running: this.#begin(peer, packet), data: authenticationData });
  }

  auth(peer: Peer, { code, properties }: AuthPacket): void {
    const { authenticationMethod: method, authenticationData: data } = properties ?? {};
    if (peer.authenticationMethod === undefined)
      throw protocolError("AUTH without an authentication method in CONNECT (MQTT 5, section 4.12)");
    if (method !== peer.authenticationMethod)
      throw protocolError(`authentication method ${method} is not the one of CONNECT (MQTT-4.12.0-5)`);
    const running = this.#running.get(peer);
    if (running?.isBusy === true) throw protocolError("AUTH comes before the last one was answered");
    if (code === reasonCodes.reauthenticate) {
      if (peer.phase !== "open") throw protocolError("a client that is not let in yet authenticates anew");
      this.#step(peer, { running: this.#begin(peer, undefined), data });
    } else if (code !== reasonCodes.continueAuthentication || running === undefined)
      throw protocolError("AUTH continues no authentication (MQTT-4.12.0-3)");
    else this.#step(peer, { running, data });
  }

  #begin(peer: Peer, packet: ConnectPacket | undefined): Running {
    const { random, scramVerifierOf } = this.#options;
    const { clientId, connection } = peer;
    const exchange = new ScramExchange({
      verifierOf: async (user) => scramVerifierOf?.({ user, clientId, remote: connection.remote }),
      nonce: Buffer.from(random.bytes(NONCE_BYTES)).toString("base64"),
      secret: this.#secret,
    });
    const running: Running = { exchange, packet, isBusy: false };
    this.#running.set(peer, running);
    return running;
  }

  #step(
    peer: Peer,
    { running, data }: { readonly running: Running; readonly data: Uint8Array | undefined },
  ): void {
    running.isBusy = true;
    // A copy: the frame is gone when the user has been looked up.
    const said = new Uint8Array(data ?? []);
    running.exchange.step(said).then(
      (answer) => {
        running.isBusy = false;
        if (peer.phase !== "closed") this.#answer(peer, { running, answer });
      },
      (error: unknown) => this.#fail(peer, { running, reason: messageOf(error) }),
    );
  }

  #answer(
    peer: Peer,
    { running, answer: { user, data } }: { readonly running: Running; readonly answer: ScramAnswer },
  ): void {
    const { known } = this.#options;
    const { packet } = running;
    const properties: Properties = { authenticationMethod: SCRAM_METHOD, authenticationData: data };
    if (user === undefined) {
      peer.reply({ type: "auth", code: reasonCodes.continueAuthentication, properties });
      if (packet !== undefined) peer.awaitAuth();
      return;
    }
    this.#running.delete(peer);
    const said = packet?.username;
    if (said !== undefined && said !== user)
      this.#fail(peer, { running, reason: `CONNECT names user ${said}, and its ${SCRAM_METHOD} ${user}` });
    else if (packet !== undefined) {
      peer.shown = { user, properties };
      known(peer, packet);
    } else if (user === peer.user) peer.reply({ type: "auth", code: reasonCodes.success, properties });
    else this.#fail(peer, { running, reason: `user ${peer.user} authenticates anew as ${user}` });
  }

  #fail(peer: Peer, { running, reason }: { readonly running: Running; readonly reason: string }): void {
    this.#running.delete(peer);
    if (peer.phase === "closed") return;
    if (running.packet !== undefined) this.#refuse(peer, { code5: reasonCodes.notAuthorized, reason });
    else peer.fail(reason, { code: reasonCodes.notAuthorized });
  }

  // What exactly was wrong is for the log: a client that guesses is not to be helped.
  #refuse(peer: Peer, { code5, reason }: { readonly code5: number; readonly reason: string }): void {
    this.#options.refused(peer, { reason, protocolFault: false });
    const isMethod = code5 === reasonCodes.badAuthenticationMethod;
    peer.refuse({
      code: connackCodes.notAuthorized,
      code5,
      reason: isMethod ? reason : "the client could not show who it is",
    });
  }
}
