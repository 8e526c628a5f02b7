import { h, render, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, timing } from "../browser/browser.ts";
import { BundlePage } from "./bundle-page.ts";
import { AlertsPage, BundlesPage, ReposPage, StoresPage } from "./pages.ts";
import { Sources } from "./sources.ts";
import { StorePage } from "./store-page.ts";

const places = [
  { at: "stores", title: "Stores" },
  { at: "repositories", title: "Repositories" },
  { at: "bundles", title: "Bundles and rollouts" },
  { at: "alerts", title: "Alerts" },
] as const;

let isChanged = (): void => undefined;
const sources = new Sources(api, timing, () => isChanged());

function App(): JSX.Element {
  const [hash, setHash] = useState(location.hash);
  const [, setTurn] = useState(0);
  const [nowMs, setNow] = useState(timing.nowMs());
  useEffect(() => {
    isChanged = () => setTurn((turn) => turn + 1);
    const moved = (): void => setHash(location.hash);
    window.addEventListener("hashchange", moved);
    // "3 min ago" grows by itself.
    const ticking = window.setInterval(() => setNow(timing.nowMs()), 10_000);
    return () => {
      window.removeEventListener("hashchange", moved);
      window.clearInterval(ticking);
    };
  }, []);
  const [place = "stores", namespace = "", name = ""] = hash
    .replace(/^#\/?/, "")
    .split("/")
    .filter(Boolean)
    .map(decodeURIComponent);
  const here = places.find(({ at }) => at === place) ?? places[0];
  useEffect(() => {
    document.title = `${name || here.title} – Cortado`;
    // Who moves by keyboard or ear goes on where the new page begins.
    if (hash !== "") document.getElementById("title")?.focus();
  }, [hash]);
  return h(
    "div",
    null,
    h("a", { class: "skip", href: "#title", onClick: skip }, "To the content"),
    h(
      "header",
      null,
      h("span", { class: "name" }, "Cortado"),
      h(
        "nav",
        { "aria-label": "Pages" },
        places.map(({ at, title }) =>
          h(
            "a",
            { key: at, href: `#/${at}`, ...(at === here.at ? { "aria-current": "page" as const } : {}) },
            title,
          ),
        ),
      ),
    ),
    h("main", null, pageAt(here.at, { sources, nowMs, namespace, name })),
  );
}

type Place = {
  readonly sources: Sources;
  readonly nowMs: number;
  readonly namespace: string;
  readonly name: string;
};

function pageAt(at: (typeof places)[number]["at"], place: Place): JSX.Element {
  const key = `${at}/${place.namespace}/${place.name}`;
  switch (at) {
    case "stores":
      return place.name === "" ? h(StoresPage, { ...place, key }) : h(StorePage, { ...place, key });
    case "repositories":
      return h(ReposPage, { ...place, key });
    case "bundles":
      return place.name === "" ? h(BundlesPage, { ...place, key }) : h(BundlePage, { ...place, key });
    case "alerts":
      return h(AlertsPage, { ...place, key });
  }
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("title")?.focus();
}

const root = document.getElementById("root");
if (root !== null) render(h(App, {}), root);
