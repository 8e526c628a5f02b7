import { createHmac } from "node:crypto";
import { Refusal } from "../service/http.ts";
import { bySku } from "./menu.ts";

export type Line = { readonly sku: string; readonly quantity: number };

export type OrderRequest = {
  readonly id: string;
  readonly items: readonly Line[];
  readonly payment: { readonly method: "card" | "cash"; readonly token?: string };
  readonly totalCents: number;
};

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Cups of one kind in one order: more is a slip of the finger. */
const QUANTITY_MAX = 100;
const LINES_MAX = 50;

/** Reads an order, naming the first thing that is wrong with it. */
export function parseOrder(body: unknown): OrderRequest {
  const { id, items, payment } = asRecord(body, "the order");
  if (typeof id !== "string" || !uuid.test(id))
    throw new Refusal(422, "id: a UUID made by the client is needed");
  if (!Array.isArray(items) || items.length === 0 || items.length > LINES_MAX)
    throw new Refusal(422, `items: a list of 1 to ${LINES_MAX} is needed`);
  const lines = items.map(parseLine);
  const totalCents = lines.reduce(
    (sum, line) => sum + (bySku.get(line.sku)?.priceCents ?? 0) * line.quantity,
    0,
  );
  return { id: id.toLowerCase(), items: lines, payment: parsePayment(payment), totalCents };
}

function parseLine(item: unknown, at: number): Line {
  const { sku, quantity } = asRecord(item, `items[${at}]`);
  if (typeof sku !== "string" || !bySku.has(sku))
    throw new Refusal(
      422,
      `items[${at}].sku: ${JSON.stringify(sku)} is not on the menu; it has ${[...bySku.keys()].join(", ")}`,
    );
  if (typeof quantity !== "number" || !Number.isInteger(quantity) || quantity < 1 || quantity > QUANTITY_MAX)
    throw new Refusal(422, `items[${at}].quantity: a whole number from 1 to ${QUANTITY_MAX} is needed`);
  return { sku, quantity };
}

function parsePayment(payment: unknown): OrderRequest["payment"] {
  const { method, token } = asRecord(payment, "payment");
  if (method === "cash") return { method };
  if (method !== "card") throw new Refusal(422, `payment.method: "card" or "cash" is needed`);
  if (typeof token !== "string" || token === "" || token.length > 500)
    throw new Refusal(422, "payment.token: the card's token is needed");
  // A card number is not a token; it must not get into any file of the store.
  if (/^\d{12,19}$/.test(token.replaceAll(/[ -]/g, "")))
    throw new Refusal(422, "payment.token: this is a card number; send a token");
  return { method, token };
}

function asRecord(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refusal(422, `${where}: an object is needed`);
  return value as Record<string, unknown>;
}

/** Tells a repeated body from another one without keeping the token: keyed, so that it cannot be guessed back. */
export function fingerprint({ id, items, payment }: OrderRequest, key: Uint8Array): string {
  const { method, token = "" } = payment;
  return createHmac("sha256", key)
    .update(JSON.stringify([id, items.map(({ sku, quantity }) => [sku, quantity]), method, token]))
    .digest("hex");
}
