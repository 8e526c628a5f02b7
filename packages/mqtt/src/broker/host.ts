import type { Turns } from "../turns.ts";
import type {
  AckPacket,
  AuthPacket,
  ConnectPacket,
  Packet,
  PublishPacket,
  SubscribePacket,
} from "@cortado/wire/mqtt";
import type { Tally } from "./tally.ts";

/** `authenticating`: between CONNECT and CONNACK, and it is the client's turn to say more. */
export type Phase = "new" | "connecting" | "authenticating" | "open" | "closed";

/** What a connection asks of the broker. */
export interface Host<Client> {
  readonly packetBytesMax: number;
  readonly receiveMax: number;
  readonly topicAliasMax: number;
  readonly brokerId: string;
  readonly turns: Turns;
  readonly tally: Tally;
  nowMs(): number;
  /** It has frames to send: `flush` is to be called when this turn's work is done. */
  unflushed(peer: Client): void;
  received(packet: Packet): void;
  connect(peer: Client, packet: ConnectPacket): void;
  /** False when a quota is full: the peer keeps the packet and is told by `retryHeld` when to try again. */
  publish(peer: Client, packet: PublishPacket): boolean;
  release(peer: Client, packetId: number): void;
  subscribe(peer: Client, packet: SubscribePacket): void;
  unsubscribe(peer: Client, packet: { readonly id: number; readonly filters: readonly string[] }): void;
  /** PUBACK, PUBREC or PUBCOMP of a subscriber. */
  answered(peer: Client, packet: AckPacket): void;
  auth(peer: Client, packet: AuthPacket): void;
  /** It takes part no more; its socket may still be sending what it was told last. Its will is void when it said goodbye. */
  detached(peer: Client, how: { readonly saidGoodbye: boolean }): void;
  gone(peer: Client): void;
  refused(peer: Client, what: { readonly reason: string; readonly protocolFault: boolean }): void;
}
