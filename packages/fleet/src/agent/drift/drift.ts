import { parseQuantity } from "@cortado/kinds/quantity";
import { fieldOf, isTree, sameTree, setField, textAt, type Tree } from "@cortado/kinds/tree";
import { normalized, type DriftOptions } from "./normalize.ts";
import { keysOf } from "./list-keys.ts";

/**
 * What would have to be changed in the live object so that it is as wanted: a JSON merge patch; undefined when nothing has to.
 * Only fields that are wanted count: what the server, controllers and other people add is theirs.
 * @param wanted as the bundle has it
 * @throws StatusError "BadRequest" for a comparePatch that cannot be applied
 */
export function driftOf(wanted: Tree, live: Tree, options: DriftOptions = {}): Tree | undefined {
  const both = normalized(wanted, live, options);
  if (both === undefined) return undefined;
  const quantities = !["ConfigMap", "Secret"].includes(textAt(wanted, "kind"));
  const patch = treeDrift(both.wanted, both.live, { quantities, isQuantity: false });
  return patch === undefined ? undefined : (patch as Tree);
}

type Place = {
  readonly quantities: boolean;
  /** Below a field whose values are quantities. */
  readonly isQuantity: boolean;
};

// What is left out of a wire object when it is empty is equal to its absence.
function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === false || value === 0) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isTree(value) && Object.values(value).every(isEmpty);
}

const quantityFields = new Set([
  "limits",
  "requests",
  "capacity",
  "hard",
  "overhead",
  "sizeLimit",
  "min",
  "max",
  "default",
  "defaultRequest",
  "divisor",
  "averageValue",
  "podFixed",
]);

function treeDrift(wanted: Tree, live: unknown, place: Place): unknown {
  if (!isTree(live)) return isEmpty(wanted) && isEmpty(live) ? undefined : wanted;
  let patch: Tree | undefined;
  for (const [key, value] of Object.entries(wanted)) {
    const isQuantity = place.quantities && (place.isQuantity || quantityFields.has(key));
    const found = valueDrift(key, { wanted: value, live: fieldOf(live, key) }, { ...place, isQuantity });
    if (found === undefined) continue;
    patch ??= {};
    setField(patch, key, found.patch);
  }
  return patch;
}

type Pair = { readonly wanted: unknown; readonly live: unknown };

function valueDrift(
  key: string,
  { wanted, live }: Pair,
  place: Place,
): { readonly patch: unknown } | undefined {
  if (isEmpty(wanted) && live === undefined) return undefined;
  if (wanted === null) return live === null ? undefined : { patch: null };
  if (isTree(wanted)) {
    const patch = treeDrift(wanted, live, place);
    return patch === undefined ? undefined : { patch };
  }
  if (Array.isArray(wanted)) return sameList(key, { wanted, live }, place) ? undefined : { patch: wanted };
  return sameScalar(wanted, live, place) ? undefined : { patch: wanted };
}

function sameScalar(wanted: unknown, live: unknown, { isQuantity }: Place): boolean {
  if (Object.is(wanted, live)) return true;
  if (!isQuantity) return typeof wanted === "bigint" && wanted === live;
  const [one, other] = [parseQuantity(wanted), parseQuantity(live)];
  return one !== undefined && other !== undefined && one.nano === other.nano;
}

// A list that has keys may hold items of others; any other list is one value.
function sameList(key: string, { wanted, live }: Pair, place: Place): boolean {
  const [want, has] = [wanted as readonly unknown[], Array.isArray(live) ? (live as readonly unknown[]) : []];
  const keys = keysOf(key, want);
  if (keys !== undefined)
    return want.every((item) => {
      const match = has.find((one) => keys.every((field) => keyOf(item, field) === keyOf(one, field)));
      return match !== undefined && sameItem(item, match, place);
    });
  return want.length === has.length && want.every((item, index) => sameItem(item, has[index], place));
}

function keyOf(item: unknown, field: string): unknown {
  const found = fieldOf(item, field);
  return found === undefined && field === "protocol" ? "TCP" : found;
}

function sameItem(wanted: unknown, live: unknown, place: Place): boolean {
  if (isTree(wanted)) return treeDrift(wanted, live, place) === undefined;
  if (Array.isArray(wanted)) return sameTree(wanted, live);
  return sameScalar(wanted, live, place);
}

/** A patch as one line for a status, cut where it gets too long to be read. */
export function patchText(patch: Tree, charactersMax: number): string {
  const text = JSON.stringify(patch, (_key, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}
