import { StatusError } from "@cortado/std/status";
import { needText } from "../../compile/values-from.ts";
import type { ValuesNeed } from "../../protocol/protocol.ts";
import type { StoreRow } from "../state/stores.ts";

type Told = { readonly need: ValuesNeed; readonly text: string };

/**
 * What a store told of what a bundle needs, or for what it waits.
 * @throws StatusError "Invalid" for what the store does not have, which is for people to mend there
 */
export function readValues(
  { values, knows }: StoreRow,
  needs: readonly ValuesNeed[],
): { readonly told: readonly Told[]; readonly waits?: undefined } | { readonly waits: string } {
  const told: Told[] = [];
  for (const need of needs) {
    const known = values?.of(need);
    const { text, problem = "" } = known ?? {};
    if (problem !== "") throw new StatusError("Invalid", `helm.valuesFrom: ${problem}`);
    if (text !== undefined) told.push({ need, text });
    else if (knows !== undefined && !knows.includes("values"))
      throw new StatusError(
        "Invalid",
        `helm.valuesFrom: the agent of this store is too old to read ${needText(need)}; update it`,
      );
    else return { waits: `waits until the store tells ${needText(need)} (helm.valuesFrom)` };
  }
  return { told };
}
