import { networkInterfaces } from "node:os";
import { every, type Clock } from "@cortado/std/clock";
import { LINE_LOOK_MS } from "../limits.ts";
import type { Line } from "../ports.ts";

/** The addresses by which this machine may reach others; one whose interface has no carrier is not there. */
function addressesNow(): ReadonlySet<string> {
  const found = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  // Each pod's veth brings a link-local address: that is no line.
  return new Set(
    found.filter((one) => !one.internal && !one.address.startsWith("fe80:")).map((one) => one.address),
  );
}

/** Looks once a second while somebody listens: an address that was not there is a line that came back. */
export function machineLine(clock: Clock, look: () => ReadonlySet<string> = addressesNow): Line {
  return {
    subscribe(cameBack) {
      let known = look();
      let lookedMs = clock.monotonicMs();
      return every(clock, LINE_LOOK_MS, () => {
        const now = look();
        const isNew = [...now].some((address) => !known.has(address));
        const goneMs = lookedMs;
        known = now;
        lookedMs = clock.monotonicMs();
        if (isNew) cameBack(goneMs);
      });
    },
  };
}
