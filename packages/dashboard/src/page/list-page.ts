import { h, type ComponentChildren, type JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { LiveList, ListState } from "../data/live-list.ts";
import { agoText, shownRows, statesOf, type Sorting } from "../data/view.ts";
import { StateMark } from "./state-mark.ts";
import { Table, type Column } from "./table.ts";

type ListRow = { readonly key: string; readonly words: string; readonly state: string };

export type ListPageProps<Row extends ListRow> = {
  readonly title: string;
  /** Of one of them, and of many. */
  readonly noun: readonly [string, string];
  readonly list: LiveList<Row>;
  readonly columns: readonly Column<Row>[];
  readonly first: Sorting<Row>;
  readonly nowMs: number;
  readonly none: ComponentChildren;
};

/** One kind of thing: how many of each state, a filter, and the table. */
export function ListPage<Row extends ListRow>(props: ListPageProps<Row>): JSX.Element {
  const { title, noun, list, columns, first, nowMs, none } = props;
  const [filter, setFilter] = useState("");
  const [state, setState] = useState("");
  const [sorting, setSorting] = useState(first);
  const rows = useMemo(
    () => shownRows(list.rows.values(), { filter, state, sorting }),
    [list, list.version, filter, state, sorting],
  );
  const states = useMemo(() => statesOf(list.rows.values()), [list, list.version]);
  const isAll = filter === "" && state === "";
  const count = `${isAll ? "" : `${rows.length} of `}${list.rows.size} ${list.rows.size === 1 ? noun[0] : noun[1]}`;
  return h(
    "div",
    null,
    h("h1", { id: "title", tabIndex: -1 }, title),
    h(ListStateLine, { state: list.state, nowMs }),
    h(
      "div",
      { class: "tools" },
      h("label", { for: "filter" }, "Filter"),
      h("input", {
        id: "filter",
        type: "search",
        value: filter,
        placeholder: "name, label, state …",
        onInput: (event: Event) => setFilter((event.target as HTMLInputElement).value),
      }),
      h(
        "div",
        { role: "group", "aria-label": "Only this state" },
        states.map((one) =>
          h(
            "button",
            {
              key: one.state,
              type: "button",
              class: "chip",
              "aria-pressed": state === one.state,
              onClick: () => setState(state === one.state ? "" : one.state),
            },
            h(StateMark, { state: one.state }),
            ` ${one.count}`,
          ),
        ),
      ),
      h("p", { role: "status" }, count),
    ),
    h(Table<Row>, {
      label: title,
      columns,
      rows,
      sorting,
      onSort: setSorting,
      empty: isAll ? "" : "Nothing matches the filter.",
    }),
    list.rows.size === 0 && list.state.kind === "live" ? h("div", { class: "none" }, none) : null,
  );
}

/** What a list is still waiting for; nothing when it is live. */
export function ListStateLine({
  state,
  nowMs,
}: {
  readonly state: ListState;
  readonly nowMs: number;
}): JSX.Element | null {
  switch (state.kind) {
    case "live":
      return null;
    case "loading":
      return h(
        "p",
        { class: "wait" },
        state.total === 0 ? "Asking the hub …" : `${state.known} of ${state.total} are here …`,
      );
    case "lost":
      return h(
        "p",
        { class: "lost", role: "alert" },
        `What is shown is from ${agoText(state.sinceMs, nowMs)}: ${state.why}. Trying again.`,
      );
  }
}
