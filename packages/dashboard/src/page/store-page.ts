import { h, type ComponentChildren, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Api, ApiObject } from "../data/api.ts";
import { toDeploymentRow, type DeploymentRow, type StoreRow } from "../data/rows.ts";
import { agoText } from "../data/view.ts";
import { EVENTS_SHOWN, ORDERS_SINCE_MS } from "../limits.ts";
import { detail } from "./detail.ts";
import { contactText, type PageProps } from "./pages.ts";
import type { Sources } from "./sources.ts";
import { StateMark } from "./state-mark.ts";

type StoreEvent = {
  readonly id: string;
  readonly at: string;
  readonly order?: string;
  readonly amount?: number;
  readonly state?: string;
};
type More = {
  readonly deployments: readonly DeploymentRow[];
  readonly orders: readonly StoreEvent[];
  readonly problem: string;
};
const nothing: More = { deployments: [], orders: [], problem: "" };

/** One store: how it is, what is wanted of it, what it raised and sold last. */
export function StorePage({
  sources,
  nowMs,
  namespace,
  name,
}: PageProps & { readonly namespace: string; readonly name: string }): JSX.Element {
  const more = useMore(sources, sources.stores.rows.get(`${namespace}/${name}`));
  const alerts = [...sources.alerts.rows.values()]
    .filter(({ store }) => store === name)
    .toSorted((one, other) => other.atMs - one.atMs)
    .slice(0, EVENTS_SHOWN);
  const body = (store: StoreRow): readonly ComponentChildren[] => [
    facts(store, nowMs),
    more.problem === "" ? null : h("p", { class: "lost", role: "alert" }, more.problem),
    h("h2", null, "Bundles"),
    plainTable(
      ["Bundle", "State", "What is wrong"],
      more.deployments.map(({ key, bundle, state, message }) => ({
        key,
        cells: [bundle, h(StateMark, { state }), message],
      })),
      "No bundle is for this store.",
    ),
    h("h2", null, "Alerts"),
    plainTable(
      ["When", "Topic", "Says"],
      alerts.map(({ key, atMs, topic, text }) => ({ key, cells: [agoText(atMs, nowMs), topic, text] })),
      "It has raised none.",
    ),
    h("h2", null, "Orders"),
    plainTable(
      ["When", "Order", "State"],
      more.orders.map(({ id, at, order = "", state = "" }) => ({
        key: id,
        cells: [agoText(Date.parse(at), nowMs), order, state],
      })),
      "None has arrived here.",
    ),
  ];
  return detail({
    kind: "Store",
    key: `${namespace}/${name}`,
    back: { href: "#/stores", text: "All stores" },
    list: sources.stores,
    nowMs,
    body,
  });
}

function facts(row: StoreRow, nowMs: number): JSX.Element {
  const pairs: readonly (readonly [string, JSX.Element | string])[] = [
    ["State", h(StateMark, { state: row.state })],
    ["Contact", contactText(row, nowMs)],
    ["Bundles ready", row.bundles],
    ["Version", row.version || "–"],
    ["Kubernetes", row.kubernetes || "–"],
    ["Labels", row.labels.join(", ") || "–"],
    ["What is wrong", row.message || "nothing"],
    ["Its own API", h("code", null, `kubectl --context ${row.name} get pods -A`)],
  ];
  return h(
    "dl",
    null,
    pairs.flatMap(([term, value]) => [h("dt", null, term), h("dd", null, value)]),
  );
}

/** What only this page shows is asked for when the store has changed. */
function useMore({ api, timing }: Sources, row: StoreRow | undefined): More {
  const [more, setMore] = useState(nothing);
  const at = row?.deploymentNamespace ?? "";
  const name = row?.name ?? "";
  useEffect(() => {
    const stop = new AbortController();
    const ask = async (): Promise<void> => {
      const [deployments, orders] = await Promise.allSettled([
        readDeployments(api, at),
        readOrders(api, { store: name, sinceMs: timing.nowMs() - ORDERS_SINCE_MS, signal: stop.signal }),
      ]);
      const problems = [deployments, orders].flatMap((one) =>
        one.status === "rejected" ? [String(one.reason)] : [],
      );
      if (stop.signal.aborted) return;
      setMore({
        deployments: deployments.status === "fulfilled" ? deployments.value : [],
        orders: orders.status === "fulfilled" ? orders.value : [],
        problem: problems.join("; "),
      });
    };
    if (at !== "") void ask();
    return () => stop.abort(new Error("the page is left"));
  }, [api, timing, at, name, row]);
  return more;
}

async function readDeployments(api: Api, namespace: string): Promise<readonly DeploymentRow[]> {
  const path = `/apis/fleet.cattle.io/v1alpha1/namespaces/${encodeURIComponent(namespace)}/bundledeployments`;
  const { items } = (await api.get(path)) as { readonly items: readonly ApiObject[] };
  return items.map(toDeploymentRow);
}

/** The newest of a store, newest first. They come oldest first: only as many as are shown are kept. */
async function readOrders(
  api: Api,
  of: { readonly store: string; readonly sinceMs: number; readonly signal: AbortSignal },
): Promise<readonly StoreEvent[]> {
  const query = { store: of.store, kind: "order", since: new Date(of.sinceMs).toISOString() };
  const newest: StoreEvent[] = [];
  for await (const one of api.lines("/telemetry/v1/events", query, of.signal)) {
    newest.push(one as StoreEvent);
    if (newest.length > EVENTS_SHOWN) newest.shift();
  }
  return newest.toReversed();
}

function plainTable(
  titles: readonly string[],
  rows: readonly { readonly key: string; readonly cells: readonly (JSX.Element | string)[] }[],
  none: string,
): JSX.Element {
  if (rows.length === 0) return h("p", null, none);
  return h(
    "table",
    { class: "plain" },
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        titles.map((title) => h("th", { key: title, scope: "col" }, title)),
      ),
    ),
    h(
      "tbody",
      null,
      rows.map(({ key, cells }) =>
        h(
          "tr",
          { key },
          cells.map((cell, at) => h("td", { key: at }, cell)),
        ),
      ),
    ),
  );
}
