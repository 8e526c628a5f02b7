import { h, type JSX } from "preact";
import type { PageProps } from "./pages.ts";
import { StateMark } from "./state-mark.ts";
import { ListStateLine } from "./list-page.ts";
import { Waves } from "./waves.ts";

/** One bundle: its rollout, and what a person may do about it. */
export function BundlePage({
  sources,
  nowMs,
  namespace,
  name,
}: PageProps & { readonly namespace: string; readonly name: string }): JSX.Element {
  const list = sources.bundles;
  const row = list.rows.get(`${namespace}/${name}`);
  const back = h("p", null, h("a", { href: "#/bundles" }, "All bundles"));
  const title = h("h1", { id: "title", tabIndex: -1 }, `Bundle ${name}`);
  if (row === undefined)
    return h(
      "div",
      null,
      back,
      title,
      h(ListStateLine, { state: list.state, nowMs }),
      list.state.kind === "live" ? h("p", null, `There is no bundle ${namespace}/${name} any more.`) : null,
    );
  const command = (word: string): JSX.Element =>
    h(
      "li",
      { key: word },
      h("code", null, `cortado fleet rollout ${word} ${name} -n ${namespace} --kubeconfig HUB`),
    );
  return h(
    "div",
    null,
    back,
    title,
    h(
      "p",
      null,
      h(StateMark, { state: row.state }),
      ` in ${row.stores || "0/0"} stores, from GitRepo ${row.repo || "–"}`,
    ),
    h("h2", null, "Rollout"),
    h("p", null, row.phase === "" ? "None yet." : `Generation ${row.generation}: ${row.phase}`),
    row.message === "" ? null : h("p", { class: "lost" }, row.message),
    h(Waves, { waves: row.waves, isSmall: false }),
    h("h2", null, "What you may do"),
    h("ul", null, ["status", "pause", "resume", "promote", "abort"].map(command)),
  );
}
