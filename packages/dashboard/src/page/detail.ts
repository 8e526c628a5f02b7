import { h, type ComponentChildren, type JSX } from "preact";
import type { LiveList } from "../data/live-list.ts";
import { ListStateLine } from "./list-page.ts";

export type DetailProps<Row> = {
  /** Such as "Store". */
  readonly kind: string;
  readonly key: string;
  readonly back: { readonly href: string; readonly text: string };
  readonly list: LiveList<Row>;
  readonly nowMs: number;
  readonly body: (row: Row) => readonly ComponentChildren[];
};

/** The page of one thing of a list: what it is, or that it is gone. */
export function detail<Row>({ kind, key, back, list, nowMs, body }: DetailProps<Row>): JSX.Element {
  const row = list.rows.get(key);
  const name = key.slice(key.indexOf("/") + 1);
  const gone = `There is no ${kind.toLowerCase()} ${key} any more.`;
  return h(
    "div",
    null,
    h("p", null, h("a", { href: back.href }, back.text)),
    h("h1", { id: "title", tabIndex: -1 }, `${kind} ${name}`),
    ...(row === undefined
      ? [
          h(ListStateLine, { state: list.state, nowMs }),
          list.state.kind === "live" ? h("p", null, gone) : null,
        ]
      : body(row)),
  );
}
