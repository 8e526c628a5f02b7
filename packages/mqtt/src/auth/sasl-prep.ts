import { StatusError } from "@cortado/std/status";

// RFC 4013, section 2: what is mapped to nothing (RFC 3454, B.1), to a space (C.1.2), and what may not be there (C.1.2 to C.9).
const NOTHING = /\u00AD|\u034F|\u1806|[\u180B-\u180D]|[\u200B-\u200D]|\u2060|[\uFE00-\uFE0F]|\uFEFF/gu;
const SPACES = /[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]/gu;
const FORBIDDEN =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u001F\u007F-\u009F\u06DD\u070F\u180E\u200E\u200F\u2028-\u202E\u2061-\u206F\uD800-\uDFFF\uE000-\uF8FF\uFFF9-\uFFFF\u{1D173}-\u{1D17A}\u{E0001}-\u{E007F}\u{F0000}-\u{10FFFF}]/u;

/**
 * A user name or password as SASL compares it: one text for all ways to type it. Rules for text of both directions (RFC 3454,
 * section 6) are not applied: they make nothing equal.
 * @throws StatusError "Invalid"
 */
export function saslPrepared(text: string): string {
  const prepared = text.replaceAll(NOTHING, "").replaceAll(SPACES, " ").normalize("NFKC");
  if (FORBIDDEN.test(prepared))
    throw new StatusError("Invalid", "a user name or password has control or private characters (RFC 4013)");
  return prepared;
}
