import { Cursor, readProperties, Writer, type Properties, type UserProperty } from "@cortado/wire/mqtt";
import { BRIDGE_SPANS_TOLD_MAX } from "../limits.ts";
import type { Span } from "../session/spans.ts";

/**
 * What a bridge says of each message in MQTT 5's user properties, one for each bridge that it came over, the last one last:
 *
 *     cortado-bridge: ID SEQUENCE THROUGH [FROM-TO ...]
 *
 * ID names the bridge and the journal behind it for ever; SEQUENCE grows with each stored message of that journal, not all of which
 * are bridged. All up to THROUGH, and in each stretch FROM to TO, has been received or never will be sent: whoever counts messages
 * once need not remember the single ones there.
 */
export const MARK_NAME = "cortado-bridge";

/** Where bridges tell whether they are connected (mosquitto(8), "Broker status"). */
export const BRIDGE_STATE_FILTER = "$SYS/broker/connection/+/state";

export type Mark = {
  readonly id: string;
  readonly sequence: number;
  readonly through: number;
  readonly spans: readonly Span[];
};

export function markText({ id, sequence, through, spans }: Mark): string {
  const told = spans.slice(-BRIDGE_SPANS_TOLD_MAX).map(({ from, to }) => ` ${from}-${to}`);
  return `${id} ${sequence} ${through}${told.join("")}`;
}

/** Undefined for what is no mark: others may use the name for their own ends. */
export function readMark(text: string): Mark | undefined {
  const match = /^(\S{1,400}) ([1-9]\d{0,15}) (\d{1,16})((?: \d{1,16}-\d{1,16}){0,16})$/.exec(text);
  if (match === null) return undefined;
  const [, id = "", sequence = "", through = "", rest = ""] = match;
  const spans = rest
    .trim()
    .split(" ")
    .filter((one) => one !== "")
    .map((one) => {
      const [from = 0, to = 0] = one.split("-").map(Number);
      return { from, to };
    });
  return { id, sequence: Number(sequence), through: Number(through), spans };
}

/** The mark of the bridge that published a message here; undefined when the last of that name is none. */
export function ownMark(userProperties: readonly UserProperty[] | undefined): Mark | undefined {
  const last = userProperties?.findLast(({ name }) => name === MARK_NAME);
  return last === undefined ? undefined : readMark(last.value);
}

/** Stands behind the marks of a message that somebody else passed on. */
export const noMark: UserProperty = { name: MARK_NAME, value: "-" };

/** The marks of a message, oldest first. */
export function marksOf(userProperties: readonly UserProperty[] | undefined): readonly Mark[] {
  const marks: Mark[] = [];
  for (const { name, value } of userProperties ?? []) {
    if (name !== MARK_NAME) continue;
    const mark = readMark(value);
    if (mark !== undefined) marks.push(mark);
  }
  return marks;
}

/** A message's properties with a mark behind them, as bytes; all others stay as they are, in their order. */
export function markedProperties(carried: Uint8Array | undefined, mark: Mark): Uint8Array {
  const properties: Properties = { userProperties: [{ name: MARK_NAME, value: markText(mark) }] };
  const writer = new Writer();
  if (carried !== undefined) writer.raw(carried);
  writeUser(writer, properties);
  return writer.taken();
}

function writeUser(writer: Writer, { userProperties = [] }: Properties): void {
  for (const { name, value } of userProperties) {
    writer.length(0x26); // section 3.3.2.3.7
    writer.text(name);
    writer.text(value);
  }
}

const needle = Buffer.from(MARK_NAME);

/** Whether carried properties may hold a mark; reading them costs more than this look. */
export function mayBeMarked(carried: Uint8Array | undefined): carried is Uint8Array {
  if (carried === undefined) return false;
  return Buffer.from(carried.buffer, carried.byteOffset, carried.byteLength).includes(needle);
}

/** What a message carries, read again. */
export function carriedProperties(carried: Uint8Array): Properties {
  const writer = new Writer();
  writer.length(carried.byteLength);
  writer.raw(carried);
  return readProperties(new Cursor(writer.taken()), "publish");
}
