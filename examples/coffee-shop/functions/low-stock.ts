// Tells the inventory service when stock runs low. Gets what the till publishes on /STORE/inventory/stock:
// {"item": "milk", "quantity": 3, "unit": "l"}. An answer is sent to the inventory service (annotation cortado.local/callback-url);
// an empty one means that all is well.
type Stock = { item?: string; sku?: string; quantity?: number | string; minimum?: number | string };

const minimums: Record<string, number> = { milk: 5, beans: 2, cups: 50 };

export function handle(req: string): string {
  const stock = JSON.parse(req) as Stock;
  const item = stock.item ?? stock.sku ?? "";
  const quantity = Number(stock.quantity);
  const minimum = Number(stock.minimum ?? minimums[item] ?? 0);
  if (item === "" || !Number.isFinite(quantity) || quantity >= minimum) return "";
  return JSON.stringify({ kind: "low-stock", item, quantity, minimum });
}
