import { keyOfNeed, needText } from "../../compile/values-from.ts";
import type { HubLink, Values, ValuesNeed } from "../../protocol/protocol.ts";
import type { Core } from "../core.ts";
import { MESSAGE_CHARS_MAX, STATUS_GATHER_MS, VALUES_BYTES_MAX } from "../limits.ts";
import type { Needs } from "../rollouts/needs.ts";
import type { StoreRow } from "../state/stores.ts";
import { ToldValues } from "../state/told-values.ts";

export type AskedOptions = { readonly core: Core; readonly link: HubLink; readonly needs: () => Needs };

/** What a store is asked for of its own ConfigMaps and Secrets over one connection, and what it answers. */
export class AskedValues {
  readonly #options: AskedOptions;
  /** What the store was asked for, by key. */
  #needed: ReadonlyMap<string, ValuesNeed> = new Map();

  constructor(options: AskedOptions) {
    this.#options = options;
  }

  /** Names what the store is to tell of itself, when that is another than before. */
  async tell(row: StoreRow): Promise<void> {
    if (row.knows?.includes("values") !== true) return;
    const needs = this.#options.needs().of(row);
    const needed = new Map(needs.map((need) => [keyOfNeed(need), need]));
    const isSame =
      needed.size === this.#needed.size && needs.every((one) => this.#needed.has(keyOfNeed(one)));
    if (isSame) return;
    this.#needed = needed;
    row.values?.keepOnly(needs);
    await this.#options.link.send({ type: "needs", values: needs });
  }

  /** Only what was asked for is taken, and no more of it than helps. */
  take(row: StoreRow, { need, text, problem }: Values): void {
    const asked = isNeed(need) ? this.#needed.get(keyOfNeed(need)) : undefined;
    if (asked === undefined) return;
    row.values ??= new ToldValues();
    const isTold = typeof text === "string" && row.values.bytes + text.length <= VALUES_BYTES_MAX;
    const tooMuch = `${needText(asked)}, is more than this hub takes of a store's values (${VALUES_BYTES_MAX} bytes in all)`;
    const why = typeof text === "string" ? tooMuch : String(problem).slice(0, MESSAGE_CHARS_MAX);
    const taken = row.values.take(
      isTold ? { type: "values", need: asked, text } : { type: "values", need: asked, problem: why },
    );
    if (taken.isOther) row.version += 1;
    if (taken.isNew)
      for (const key of this.#options.needs().usersOf(row, asked))
        this.#options.core.lookAtBundle(key, STATUS_GATHER_MS);
  }
}

function isNeed(need: unknown): need is ValuesNeed {
  if (typeof need !== "object" || need === null) return false;
  return Object.values(need).every((text) => typeof text === "string");
}
