import type { Values, ValuesNeed } from "../../protocol/protocol.ts";
import { keyOfNeed } from "../../compile/values-from.ts";
import { sha256Of } from "../sources/blobs.ts";

/** `text`: undefined while the store is not connected. */
type Told = { readonly sum: string; readonly text: string | undefined; readonly problem: string };

export type Taken = {
  /** It is another than the last time. */
  readonly isOther: boolean;
  /** Somebody may wait for it. */
  readonly isNew: boolean;
};

/**
 * What a store told of its own ConfigMaps and Secrets, in memory only: the texts for as long as it is connected, and of what was told a
 * sum, so that a store that comes back with the same is not looked at anew.
 */
export class ToldValues {
  readonly #told: Map<string, Told> = new Map();

  of(need: ValuesNeed): Told | undefined {
    return this.#told.get(keyOfNeed(need));
  }

  take({ need, text, problem = "" }: Values): Taken {
    const key = keyOfNeed(need);
    const before = this.#told.get(key);
    const sum = sha256Of(new TextEncoder().encode(JSON.stringify([text ?? "", problem])));
    this.#told.set(key, { sum, text, problem });
    const isOther = before?.sum !== sum;
    return { isOther, isNew: isOther || (before.text === undefined && text !== undefined) };
  }

  get bytes(): number {
    return [...this.#told.values()].reduce((sum, { text = "" }) => sum + text.length, 0);
  }

  keepOnly(needs: readonly ValuesNeed[]): void {
    const keys = new Set(needs.map(keyOfNeed));
    for (const key of this.#told.keys()) if (!keys.has(key)) this.#told.delete(key);
  }

  /** The store is gone for now: nobody may render with its values until it is back. */
  forgetTexts(): void {
    for (const [key, told] of this.#told) this.#told.set(key, { ...told, text: undefined });
  }
}
