import { reasonCodes } from "@cortado/wire/mqtt";
import type { Peer } from "./peer.ts";

/** Ends the connections of these users, not those of our own parts. */
export function disconnectUsers(peers: Iterable<Peer>, users: ReadonlySet<string>): void {
  for (const peer of [...peers])
    if (peer.phase === "open" && peer.trusted === undefined && users.has(peer.user))
      peer.leave(reasonCodes.administrativeAction, "what this user may do has changed; connect anew");
}
