import { h, type JSX } from "preact";
import { detail } from "./detail.ts";
import type { PageProps } from "./pages.ts";
import { StateMark } from "./state-mark.ts";
import { Waves } from "./waves.ts";

/** One bundle: its rollout, and what a person may do about it. */
export function BundlePage({
  sources,
  nowMs,
  namespace,
  name,
}: PageProps & { readonly namespace: string; readonly name: string }): JSX.Element {
  const command = (word: string): JSX.Element =>
    h(
      "li",
      { key: word },
      h("code", null, `cortado fleet rollout ${word} ${name} -n ${namespace} --kubeconfig HUB`),
    );
  return detail({
    kind: "Bundle",
    key: `${namespace}/${name}`,
    back: { href: "#/bundles", text: "All bundles" },
    list: sources.bundles,
    nowMs,
    body: (row) => [
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
    ],
  });
}
