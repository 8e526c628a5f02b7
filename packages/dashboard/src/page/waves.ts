import { h, type JSX } from "preact";
import type { BundleWave } from "@cortado/kinds/fleet";

/** How far a rollout is: one bar a wave, its length the stores that are ready. Dark stores do not hold a wave back. */
export function Waves({
  waves,
  isSmall,
}: {
  readonly waves: readonly BundleWave[];
  readonly isSmall: boolean;
}): JSX.Element {
  if (waves.length === 0) return h("span", null, "–");
  if (isSmall) {
    const stores = waves.reduce((sum, wave) => sum + wave.stores, 0);
    const ready = waves.reduce((sum, wave) => sum + wave.ready, 0);
    return h("span", null, bar(ready, stores), ` ${ready}/${stores}`);
  }
  return h(
    "ol",
    { class: "waves" },
    waves.map((wave) =>
      h(
        "li",
        { key: wave.name },
        h("strong", null, wave.name),
        " ",
        bar(wave.ready, wave.stores),
        ` ${wave.ready} of ${wave.stores} stores are ready`,
        wave.waiting > 0 ? `, ${wave.waiting} wait` : "",
        wave.dark > 0 ? `, ${wave.dark} are dark` : "",
      ),
    ),
  );
}

function bar(value: number, max: number): JSX.Element {
  return h("progress", { value, max: Math.max(1, max), "aria-label": `${value} of ${max} stores are ready` });
}
