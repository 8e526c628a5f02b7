/** Prices in cents of the store's currency. */
export type MenuItem = { readonly sku: string; readonly name: string; readonly priceCents: number };

export const currency = "USD";

export const menu: readonly MenuItem[] = [
  { sku: "espresso", name: "Espresso", priceCents: 300 },
  { sku: "cortado", name: "Cortado", priceCents: 375 },
  { sku: "cappuccino", name: "Cappuccino", priceCents: 425 },
  { sku: "latte", name: "Latte", priceCents: 450 },
  { sku: "americano", name: "Americano", priceCents: 325 },
  { sku: "tea", name: "Tea", priceCents: 275 },
  { sku: "muffin", name: "Muffin", priceCents: 350 },
];

export const bySku: ReadonlyMap<string, MenuItem> = new Map(menu.map((item) => [item.sku, item]));
