import { h, type JSX } from "preact";

/** A state, told by word, shape and colour: never by colour alone. */
export function StateMark({ state }: { readonly state: string }): JSX.Element {
  const kind = kinds[state] ?? "busy";
  return h(
    "span",
    { class: `state ${kind}` },
    h("span", { "aria-hidden": "true" }, shapes[kind]),
    ` ${state || "–"}`,
  );
}

type Kind = "well" | "busy" | "bad" | "dark";
const shapes: Readonly<Record<Kind, string>> = { well: "●", busy: "◐", bad: "▲", dark: "○" };
const kinds: Readonly<Record<string, Kind>> = {
  Ready: "well",
  Offline: "dark",
  WaitCheckIn: "dark",
  ErrApplied: "bad",
  Stalled: "bad",
  NotReady: "bad",
  Modified: "bad",
  Warning: "bad",
};
