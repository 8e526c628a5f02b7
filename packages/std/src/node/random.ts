import { randomBytes, randomInt, randomUUID } from "node:crypto";
import type { Random } from "../random.ts";

/** The machine's cryptographic randomness. */
export const systemRandom: Random = {
  float: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
  integer: (below) => randomInt(below),
  bytes: (length) => randomBytes(length),
  uuid: () => randomUUID(),
};
