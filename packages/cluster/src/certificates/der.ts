// Just enough of DER (ITU-T X.690) for the certificates that a hub signs by the thousand, and to find the parts of one.

/** One value: its tag, where its content is, and its whole bytes. */
export type DerValue = { readonly tag: number; readonly content: Buffer; readonly whole: Buffer };

export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(content.byteLength)]), content]);
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(derTags.sequence, ...parts);
}

function lengthBytes(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 0x1_00)) bytes.unshift(left % 0x1_00);
  return [0x80 | bytes.length, ...bytes];
}

/** An object identifier from its dotted text. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  return der(derTags.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): readonly number[] {
  const bytes = [value % 0x80];
  for (let left = Math.floor(value / 0x80); left > 0; left = Math.floor(left / 0x80))
    bytes.unshift(0x80 | (left % 0x80));
  return bytes;
}

/** A moment as certificates write it (RFC 5280, 4.1.2.5): UTCTime up to 2049. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  const isNear = Number(digits.slice(0, 4)) < 2050;
  return der(
    isNear ? derTags.utcTime : derTags.generalizedTime,
    Buffer.from(isNear ? digits.slice(2) : digits),
  );
}

/** The values that lie one behind another. @throws RangeError when the bytes end within one */
export function derValues(bytes: Buffer): readonly DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    const tag = bytes.readUInt8(at);
    const short = bytes.readUInt8(at + 1);
    const extra = short < 0x80 ? 0 : short & 0x7f;
    const length = extra === 0 ? short : bytes.readUIntBE(at + 2, extra);
    const from = at + 2 + extra;
    if (from + length > bytes.byteLength) throw new RangeError("a DER value goes beyond its bytes");
    values.push({
      tag,
      content: bytes.subarray(from, from + length),
      whole: bytes.subarray(at, from + length),
    });
    at = from + length;
  }
  return values;
}
