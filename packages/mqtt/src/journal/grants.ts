import type { QoS } from "@cortado/wire/mqtt";
import type { Grant } from "../session/grant.ts";

// A grant: flags 1, identifiers 2 (how many), 4 each, and with the flag for it the share's length 2 and name.
const flag = { retainAsPublished: 4, isRetained: 8, share: 16 } as const;

export function grantBytes(grants: readonly Grant[]): number {
  let total = 0;
  for (const { identifiers, share } of grants)
    total += 3 + 4 * (identifiers?.length ?? 0) + (share === undefined ? 0 : 2 + Buffer.byteLength(share));
  return total;
}

/** Writes the terms of a message's recipients; answers where it stopped. */
export function writeGrants(
  record: Buffer,
  { grants, at: from }: { readonly grants: readonly Grant[]; readonly at: number },
): number {
  let at = from;
  for (const { qos, retainAsPublished, isRetained, identifiers = [], share } of grants) {
    at = record.writeUInt8(
      qos |
        (retainAsPublished ? flag.retainAsPublished : 0) |
        (isRetained ? flag.isRetained : 0) |
        (share === undefined ? 0 : flag.share),
      at,
    );
    at = record.writeUInt16LE(identifiers.length, at);
    for (const identifier of identifiers) at = record.writeUInt32LE(identifier, at);
    if (share === undefined) continue;
    at = record.writeUInt16LE(Buffer.byteLength(share), at);
    at += record.write(share, at);
  }
  return at;
}

export function readGrants(
  body: Buffer,
  { at: from, count }: { readonly at: number; readonly count: number },
): { readonly grants: readonly Grant[]; readonly end: number } {
  let at = from;
  const grants: Grant[] = [];
  while (grants.length < count) {
    const flags = body.readUInt8(at);
    const many = body.readUInt16LE(at + 1);
    at += 3;
    const identifiers: number[] = [];
    for (; identifiers.length < many; at += 4) identifiers.push(body.readUInt32LE(at));
    let share: string | undefined;
    if ((flags & flag.share) !== 0) {
      const shareAt = at + 2;
      at = shareAt + body.readUInt16LE(at);
      share = body.toString("utf8", shareAt, at);
    }
    grants.push({
      qos: (flags & 3) as QoS,
      noLocal: false,
      retainAsPublished: (flags & flag.retainAsPublished) !== 0,
      identifiers: many === 0 ? undefined : identifiers,
      share,
      isRetained: (flags & flag.isRetained) !== 0,
    });
  }
  return { grants, end: at };
}
