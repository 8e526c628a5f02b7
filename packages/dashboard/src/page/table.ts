import { h, type ComponentChildren, type JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { windowOf, type Sorting } from "../data/view.ts";
import { ROW_PX, ROWS_BEYOND } from "../limits.ts";

export type Column<Row> = {
  /** What it is sorted by; also its name. */
  readonly by: keyof Row & string;
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
};

export type TableProps<Row> = {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly sorting: Sorting<Row>;
  readonly onSort: (sorting: Sorting<Row>) => void;
  readonly empty: string;
};

/** A table of any length: only the rows that are seen are in the document, and a screen reader is told how many there are. */
export function Table<Row extends { readonly key: string }>(props: TableProps<Row>): JSX.Element {
  const { label, columns, rows, empty } = props;
  const box = useRef<HTMLDivElement>(null);
  const [scrolled, setScrolled] = useState({ topPx: 0, heightPx: 800 });
  const look = (): void => {
    const at = box.current;
    if (at !== null) setScrolled({ topPx: at.scrollTop, heightPx: at.clientHeight });
  };
  useEffect(() => {
    look();
    window.addEventListener("resize", look);
    return () => window.removeEventListener("resize", look);
  }, []);
  const { from, to } = windowOf({
    count: rows.length,
    scrolledPx: scrolled.topPx,
    heightPx: scrolled.heightPx,
    rowPx: ROW_PX,
    beyond: ROWS_BEYOND,
  });
  const line = (row: Row, at: number): JSX.Element =>
    h(
      "tr",
      { key: row.key, "aria-rowindex": at + 2 },
      columns.map((column, index) => {
        const cell = { key: column.by, class: `of-${column.by}` };
        return index === 0
          ? h("th", { ...cell, scope: "row" }, column.cell(row))
          : h("td", cell, column.cell(row));
      }),
    );
  return h(
    "div",
    { class: "scroll", ref: box, onScroll: look, tabIndex: 0, role: "region", "aria-label": label },
    h(
      "table",
      { "aria-label": label, "aria-rowcount": rows.length + 1 },
      h(
        "thead",
        null,
        h(
          "tr",
          { "aria-rowindex": 1 },
          columns.map((column) => heading(column, props)),
        ),
      ),
      h("tbody", null, [
        space("above", from * ROW_PX, columns.length),
        ...rows.slice(from, to).map((row, at) => line(row, from + at)),
        space("below", (rows.length - to) * ROW_PX, columns.length),
      ]),
    ),
    rows.length === 0 ? h("p", { class: "none" }, empty) : null,
  );
}

function heading<Row>(column: Column<Row>, { sorting, onSort }: TableProps<Row>): JSX.Element {
  const { by, title } = column;
  const isSorted = sorting.by === by;
  const sort = isSorted ? (sorting.isDown ? "descending" : "ascending") : "none";
  const turn = (): void => onSort({ by, isDown: isSorted && !sorting.isDown });
  const arrow = h("span", { "aria-hidden": "true" }, isSorted ? (sorting.isDown ? " ▾" : " ▴") : "");
  return h(
    "th",
    { key: by, scope: "col", "aria-sort": sort, class: `of-${by}` },
    h("button", { type: "button", onClick: turn }, title, arrow),
  );
}

/** Stands for the rows that are not in the document. */
function space(key: string, heightPx: number, columns: number): JSX.Element | null {
  if (heightPx <= 0) return null;
  return h(
    "tr",
    { key, "aria-hidden": "true", class: "space" },
    h("td", { colSpan: columns, style: { height: `${heightPx}px` } }),
  );
}
