/** What a thing sold takes from the shelf, by ingredient. */
export const recipes: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  espresso: { beans: 18, cups: 1 },
  cortado: { beans: 18, milk: 60, cups: 1 },
  cappuccino: { beans: 18, milk: 120, cups: 1 },
  latte: { beans: 18, milk: 200, cups: 1 },
  americano: { beans: 18, cups: 1 },
  tea: { tea: 1, cups: 1 },
  muffin: { muffins: 1 },
};

export type Ingredient = {
  readonly sku: string;
  readonly name: string;
  readonly unit: string;
  /** What a new store begins with. */
  readonly initial: number;
  /** Below this it is ordered again. */
  readonly reorderBelow: number;
  readonly reorderQuantity: number;
};

export const ingredients: readonly Ingredient[] = [
  {
    sku: "beans",
    name: "Coffee beans",
    unit: "g",
    initial: 50_000,
    reorderBelow: 5_000,
    reorderQuantity: 50_000,
  },
  { sku: "milk", name: "Milk", unit: "ml", initial: 100_000, reorderBelow: 10_000, reorderQuantity: 100_000 },
  { sku: "cups", name: "Cups", unit: "piece", initial: 2_000, reorderBelow: 200, reorderQuantity: 2_000 },
  { sku: "tea", name: "Tea bags", unit: "piece", initial: 500, reorderBelow: 50, reorderQuantity: 500 },
  { sku: "muffins", name: "Muffins", unit: "piece", initial: 60, reorderBelow: 6, reorderQuantity: 60 },
];
