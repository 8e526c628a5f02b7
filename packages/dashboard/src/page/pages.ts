import { h, type JSX } from "preact";
import type { AlertRow, BundleRow, RepoRow, StoreRow } from "../data/rows.ts";
import { agoText } from "../data/view.ts";
import { ListPage } from "./list-page.ts";
import type { Sources } from "./sources.ts";
import { StateMark } from "./state-mark.ts";
import { Waves } from "./waves.ts";

export type PageProps = { readonly sources: Sources; readonly nowMs: number };

export function storeLink({
  namespace,
  name,
}: {
  readonly namespace: string;
  readonly name: string;
}): JSX.Element {
  return h("a", { href: `#/stores/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}` }, name);
}

/** Since when it is dark, or when it was last heard. */
export function contactText(row: StoreRow, nowMs: number): string {
  if (row.offlineSinceMs > 0) return `Offline, last heard ${agoText(row.offlineSinceMs, nowMs)}`;
  if (row.lastSeenMs === 0) return "never";
  return "connected";
}

export function StoresPage({ sources, nowMs }: PageProps): JSX.Element {
  const alerts = new Map<string, number>();
  for (const { store } of sources.alerts.rows.values()) alerts.set(store, (alerts.get(store) ?? 0) + 1);
  return h(ListPage<StoreRow>, {
    title: "Stores",
    noun: ["store", "stores"],
    list: sources.stores,
    first: { by: "name", isDown: false },
    nowMs,
    none: "No store has joined yet: start one with cortado server --hub URL --hub-token TOKEN.",
    columns: [
      { by: "name", title: "Store", cell: storeLink },
      { by: "state", title: "State", cell: (row) => h(StateMark, { state: row.state }) },
      { by: "bundles", title: "Bundles ready", cell: (row) => row.bundles },
      { by: "lastSeenMs", title: "Contact", cell: (row) => contactText(row, nowMs) },
      { by: "version", title: "Version", cell: (row) => row.version },
      { by: "kubernetes", title: "Kubernetes", cell: (row) => row.kubernetes },
      { by: "key", title: "Alerts", cell: (row) => alerts.get(row.name) ?? 0 },
      {
        by: "message",
        title: "What is wrong",
        cell: (row) => h("span", { title: row.message }, row.message),
      },
    ],
  });
}

export function ReposPage({ sources, nowMs }: PageProps): JSX.Element {
  return h(ListPage<RepoRow>, {
    title: "Repositories",
    noun: ["GitRepo", "GitRepos"],
    list: sources.repos,
    first: { by: "name", isDown: false },
    nowMs,
    none: "There is no GitRepo: apply one with kubectl.",
    columns: [
      { by: "name", title: "GitRepo", cell: (row) => row.name },
      { by: "state", title: "State", cell: (row) => h(StateMark, { state: row.state }) },
      { by: "commit", title: "Commit", cell: (row) => h("code", null, row.commit.slice(0, 10)) },
      { by: "branch", title: "Branch", cell: (row) => row.branch },
      { by: "deployments", title: "Deployments ready", cell: (row) => row.deployments },
      { by: "stores", title: "Stores ready", cell: (row) => row.stores },
      { by: "repo", title: "Repository", cell: (row) => row.repo },
      {
        by: "message",
        title: "What is wrong",
        cell: (row) => h("span", { title: row.message }, row.message),
      },
    ],
  });
}

export function BundlesPage({ sources, nowMs }: PageProps): JSX.Element {
  return h(ListPage<BundleRow>, {
    title: "Bundles and rollouts",
    noun: ["bundle", "bundles"],
    list: sources.bundles,
    first: { by: "state", isDown: false },
    nowMs,
    none: "There is no Bundle: a GitRepo makes them.",
    columns: [
      {
        by: "name",
        title: "Bundle",
        cell: ({ namespace, name }) =>
          h("a", { href: `#/bundles/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}` }, name),
      },
      { by: "state", title: "State", cell: (row) => h(StateMark, { state: row.state }) },
      { by: "stores", title: "Stores ready", cell: (row) => row.stores },
      { by: "phase", title: "Rollout", cell: (row) => row.phase },
      { by: "generation", title: "Progress", cell: (row) => h(Waves, { waves: row.waves, isSmall: true }) },
      { by: "repo", title: "GitRepo", cell: (row) => row.repo },
      {
        by: "message",
        title: "What is wrong",
        cell: (row) => h("span", { title: row.message }, row.message),
      },
    ],
  });
}

export function AlertsPage({ sources, nowMs }: PageProps): JSX.Element {
  return h(ListPage<AlertRow>, {
    title: "Alerts",
    noun: ["alert", "alerts"],
    list: sources.alerts,
    first: { by: "atMs", isDown: true },
    nowMs,
    none: "No store has raised an alert.",
    columns: [
      { by: "name", title: "Alert", cell: (row) => row.name },
      { by: "store", title: "Store", cell: (row) => row.store },
      { by: "topic", title: "Topic", cell: (row) => row.topic },
      { by: "text", title: "Says", cell: (row) => h("span", { title: row.text }, row.text) },
      { by: "atMs", title: "When", cell: (row) => agoText(row.atMs, nowMs) },
    ],
  });
}
