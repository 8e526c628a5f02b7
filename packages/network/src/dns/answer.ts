import {
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
  type Answer,
  type Packet,
} from "dns-packet";
import { DNS_TTL_S, DNS_UDP_BYTES, DNS_UDP_BYTES_MAX } from "../limits.ts";
import type { ZoneAnswer, ZoneRecord } from "./zone.ts";

export const rcodes = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const;

export type Query = {
  readonly packet: Packet;
  readonly question: { readonly name: string; readonly type: string };
  readonly udpBytesMax: number;
};

/** Reads a query; undefined when it is none that can be answered at all. */
export function readQuery(bytes: Uint8Array): Query | undefined {
  let packet: Packet;
  try {
    packet = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch {
    return undefined;
  }
  const question = packet.questions?.[0];
  if (packet.type !== "query" || question === undefined || packet.questions?.length !== 1) return undefined;
  const edns = packet.additionals?.find((one) => one.type === "OPT") as
    | { udpPayloadSize?: number }
    | undefined;
  const asked =
    edns === undefined
      ? DNS_UDP_BYTES
      : Math.min(DNS_UDP_BYTES_MAX, Math.max(DNS_UDP_BYTES, edns.udpPayloadSize ?? DNS_UDP_BYTES));
  return { packet, question: { name: question.name, type: question.type }, udpBytesMax: asked };
}

export type Said = {
  readonly rcode: number;
  readonly answers: readonly Answer[];
  readonly extra: readonly Answer[];
  readonly authorities: readonly Answer[];
  readonly authoritative: boolean;
};

/** What the zone says, as sections of a message. */
export function zoneSays(answer: Exclude<ZoneAnswer, { kind: "outside" }>, domain: string): Said {
  const rest = { authoritative: true };
  if (answer.kind === "absent")
    return { ...rest, rcode: rcodes.nameError, answers: [], extra: [], authorities: [soa(domain)] };
  const answers = answer.records.map(toAnswer);
  return {
    ...rest,
    rcode: rcodes.noError,
    answers,
    extra: answer.extra.map(toAnswer),
    authorities: answers.length === 0 ? [soa(domain)] : [],
  };
}

export function failureSays(rcode: number): Said {
  return { rcode, answers: [], extra: [], authorities: [], authoritative: false };
}

/** The bytes of an answer; over UDP cut with the truncation bit when it is too long, so that the client comes back by TCP. */
export function writeAnswer(query: Query, said: Said, transport: "udp" | "tcp"): Uint8Array {
  const whole = message(query, said, false);
  if (transport === "tcp" || whole.byteLength <= query.udpBytesMax) return whole;
  return message(query, { ...said, answers: [], extra: [], authorities: [] }, true);
}

function message({ packet }: Query, said: Said, truncated: boolean): Uint8Array {
  const hasEdns = packet.additionals?.some((one) => one.type === "OPT") === true;
  const edns: Answer = {
    type: "OPT",
    name: ".",
    udpPayloadSize: DNS_UDP_BYTES_MAX,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
  const desired = ((packet.flags ?? 0) & RECURSION_DESIRED) === 0 ? 0 : RECURSION_DESIRED;
  const flags =
    desired |
    RECURSION_AVAILABLE |
    (said.authoritative ? AUTHORITATIVE_ANSWER : 0) |
    (truncated ? TRUNCATED_RESPONSE : 0) |
    said.rcode;
  return encode({
    type: "response",
    id: packet.id ?? 0,
    flags,
    questions: packet.questions ?? [],
    answers: [...said.answers],
    authorities: [...said.authorities],
    additionals: [...said.extra, ...(hasEdns ? [edns] : [])],
  });
}

function toAnswer(record: ZoneRecord): Answer {
  return { ...record, ttl: DNS_TTL_S, class: "IN" } as Answer;
}

// Says for how long "there is no such name" may be believed (RFC 2308).
function soa(domain: string): Answer {
  return {
    type: "SOA",
    name: domain,
    ttl: DNS_TTL_S,
    class: "IN",
    data: {
      mname: `ns.dns.${domain}`,
      rname: `hostmaster.${domain}`,
      serial: 1,
      refresh: 7_200,
      retry: 1_800,
      expire: 86_400,
      minimum: DNS_TTL_S,
    },
  };
}
