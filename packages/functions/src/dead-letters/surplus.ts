import type { DeadLetter } from "@cortado/kinds";
import { LETTERS_BYTES_MAX, LETTERS_MAX } from "../limits.ts";
import { bytesOf } from "./letter.ts";

type Pile = { readonly letters: DeadLetter[]; bytes: number };

/**
 * The letters that must go so that the rest keeps to its bounds: the oldest of the function that has most, so that one that fails for
 * everything does not push out what another left. It is always the same ones, however often they are asked for.
 */
export function surplusOf(letters: readonly DeadLetter[]): readonly DeadLetter[] {
  const piles = new Map<string, Pile>();
  let bytes = 0;
  for (const letter of letters.toSorted(byAge)) {
    const key = `${letter.metadata.namespace}/${letter.spec.function}`;
    let pile = piles.get(key);
    if (pile === undefined) piles.set(key, (pile = { letters: [], bytes: 0 }));
    pile.letters.push(letter);
    pile.bytes += bytesOf(letter.spec);
    bytes += bytesOf(letter.spec);
  }
  const going: DeadLetter[] = [];
  while (letters.length - going.length > LETTERS_MAX || bytes > LETTERS_BYTES_MAX) {
    const oldest = largest(piles.values());
    const size = bytesOf(oldest.spec);
    bytes -= size;
    going.push(oldest);
    const pile = piles.get(`${oldest.metadata.namespace}/${oldest.spec.function}`);
    if (pile !== undefined) pile.bytes -= size;
  }
  return going;
}

/** Takes the oldest letter off the pile that has the largest share of the room. */
function largest(piles: Iterable<Pile>): DeadLetter {
  let found: Pile | undefined;
  for (const pile of piles) if (found === undefined || shareOf(pile) > shareOf(found)) found = pile;
  const letter = found?.letters.shift();
  if (letter === undefined) throw new Error("no letter is left, and still there are too many");
  return letter;
}

function shareOf({ letters, bytes }: Pile): number {
  return Math.max(letters.length / LETTERS_MAX, bytes / LETTERS_BYTES_MAX);
}

function byAge(one: DeadLetter, other: DeadLetter): number {
  const made = ({ metadata }: DeadLetter): string => String(metadata.creationTimestamp ?? "");
  const [first, second] = [made(one), made(other)];
  if (first !== second) return first < second ? -1 : 1;
  const bySequence = (one.spec.sequence ?? 0) - (other.spec.sequence ?? 0);
  return bySequence !== 0 ? bySequence : one.metadata.name < other.metadata.name ? -1 : 1;
}
