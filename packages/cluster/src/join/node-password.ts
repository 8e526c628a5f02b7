import { createHash, timingSafeEqual } from "node:crypto";
import type { Random } from "@cortado/std/random";

// A node's password is 128 random bits that a machine makes once: nobody guesses it, so a plain salted hash keeps it, where K3s
// spends 32 MB of memory on each look.

/** A new node's password. */
export function newNodePassword(random: Random): string {
  return Buffer.from(random.bytes(16)).toString("hex");
}

/** What the server keeps of it. */
export function hashNodePassword(password: string, random: Random): string {
  const salt = Buffer.from(random.bytes(16)).toString("hex");
  return `$sha256:${salt}:${digest(password, salt)}`;
}

export function isNodePassword(password: string, hash: string): boolean {
  const [kind, salt = "", wanted = ""] = hash.split(":");
  if (kind !== "$sha256") return false;
  const [found, kept] = [Buffer.from(digest(password, salt)), Buffer.from(wanted)];
  return found.byteLength === kept.byteLength && timingSafeEqual(found, kept);
}

function digest(password: string, salt: string): string {
  return createHash("sha256").update(`${salt}:${password}`).digest("hex");
}
