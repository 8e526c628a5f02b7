import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { GitServer } from "@cortado/fleet/git/server";
import { nodeListener } from "@cortado/std/node/http";
import { silentLog } from "@cortado/std/testing/silent-log";
import { run } from "../clients/clients.ts";
import { until } from "../end-to-end/demo-world.ts";
import { HubProcesses } from "../end-to-end/hub-processes.ts";
import { HostileRepositories, hostileCases } from "./hostile-repositories.ts";

// Repositories that mean harm, one GitRepo each, at one hub process: each says what is wrong, none takes the hub or another with it.
const rssBytesMax = 1_500 * 1024 * 1024;
let hub: HubProcesses;
let made: HostileRepositories;
let base = "";
const http = createServer((request, response) => serve(request, response));
let serve: ReturnType<typeof nodeListener> = (_request, response) => void response.end();

type Said = { readonly kind: string; readonly name: string; readonly repo: string; readonly text: string };

/** What GitRepos and Bundles say, and what they are. */
async function said(): Promise<readonly Said[]> {
  type Item = {
    kind: string;
    metadata: { name: string; labels?: Record<string, string> };
    status?: { conditions?: { type: string; status: string; message?: string }[] };
  };
  const out = await hub.told("hub", "get", "gitrepos,bundles", "-n", "fleet-default", "-o", "json");
  const { items } = JSON.parse(out) as { items: Item[] };
  return items.map(({ kind, metadata, status }) => ({
    kind,
    name: metadata.name,
    repo: kind === "GitRepo" ? metadata.name : (metadata.labels?.["fleet.cattle.io/repo-name"] ?? ""),
    text: (status?.conditions ?? [])
      .map((one) => `${one.type}=${one.status} ${one.message ?? ""}`)
      .join("\n"),
  }));
}

before(async () => {
  hub = await HubProcesses.start();
  const folder = join(hub.folder, "served");
  made = new HostileRepositories(folder);
  const server = new GitServer({
    folder,
    path: "/usr/local/bin:/usr/bin:/bin",
    log: silentLog,
    pushed: () => undefined,
  });
  serve = nodeListener((request) => server.handle(request, { path: request.path, user: "me" }));
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  made.files("good", {
    "fleet.yaml": "targets: [{clusterSelector: {}}]\n",
    "a.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n",
  });
  for (const { name, make } of hostileCases) make(made, name);
});

after(async () => {
  http.closeAllConnections();
  await new Promise((resolve) => http.close(resolve));
  made[Symbol.dispose]();
  await hub[Symbol.asyncDispose]();
});

test("every hostile repository is told by name, the hub stays small, and others are served", async (context) => {
  const place = (name: string): string => `metadata: { name: ${name}, namespace: fleet-default }`;
  const kind = (name: string): string => `apiVersion: fleet.cattle.io/v1alpha1\nkind: ${name}\n`;
  const repo = (name: string, spec: object): string =>
    `${kind("GitRepo")}${place(name)}\nspec: ${JSON.stringify({ ...spec, pollingInterval: name === "good" ? "15s" : "1h", targets: [{ clusterSelector: {} }] })}\n`;
  await hub.apply("hub", `${kind("Cluster")}${place("dark")}\nspec: {}\n`);
  const all = hostileCases.map(({ name, spec }) => {
    const url = `${base}/${name}.git`;
    return repo(name, spec?.(url) ?? { repo: url, branch: "main" });
  });
  const startMs = performance.now();
  await hub.apply("hub", [...all, repo("good", { repo: `${base}/good.git`, branch: "main" })].join("---\n"));
  const open = new Map(hostileCases.map((one) => [one.name, one]));
  let texts: readonly Said[] = [];
  await until(
    "all of them to be told",
    async () => {
      texts = await said();
      for (const [name, { says }] of open) {
        const own = texts.filter((one) => one.repo === name);
        const isTold =
          says === undefined
            ? own.some((one) => one.kind === "Bundle") &&
              own.some((one) => one.text.includes("Accepted=True"))
            : own.some((one) => says.test(one.text));
        if (isTold) open.delete(name);
      }
      return open.size === 0;
    },
    120_000,
  ).catch((error: unknown) => {
    const left = texts
      .filter((one) => open.has(one.repo))
      .map((one) => `${one.kind} ${one.name}: ${one.text.slice(0, 600)}`);
    throw new Error(`not told: ${[...open.keys()].join(", ")}\n${left.join("\n")}`, { cause: error });
  });
  const tookMs = performance.now() - startMs;

  // Another repository is followed all the same.
  made.files("next", {
    "fleet.yaml": "targets: [{clusterSelector: {}}]\n",
    "b.yaml": "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n",
  });
  const next = made.git(join(made.folder, "next.git"), ["rev-parse", "main"]);
  made.git(join(made.folder, "next.git"), [
    "push",
    "--quiet",
    "--force",
    join(made.folder, "good.git"),
    "main",
  ]);
  const push = { ref: "refs/heads/main", after: next, repository: { html_url: `${base}/good.git` } };
  const words = ["-sk", "-H", "x-github-event: push", "-d", JSON.stringify(push), `${hub.url}/webhook`];
  assert.match(
    (await run("curl", words)).out,
    /"gitRepos": ?1.*anybody may send this webhook, at a low rate/s,
  );
  await until(
    "the good one to be followed",
    async () =>
      (await hub.told(
        "hub",
        "get",
        "gitrepo",
        "good",
        "-n",
        "fleet-default",
        "-o",
        "jsonpath={.status.commit}",
      )) === next,
    40_000,
  );
  const peak =
    Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${hub.pid("hub")}/status`, "utf8"))?.[1]) * 1024;
  context.diagnostic(
    `${hostileCases.length} repositories told in ${Math.round(tookMs / 1_000)} s; the hub's peak is ${Math.round(peak / 1024 / 1024)} MiB`,
  );
  assert.ok(peak < rssBytesMax, `the hub took ${peak} bytes`);
  assert.deepEqual(
    readdirSync("/tmp").filter((name) => name.startsWith("hostile-") && !/^hostile-\w{6}$/.test(name)),
    [],
    "nothing was run",
  );
  assert.equal((await hub.told("hub", "get", "--raw", "/readyz")).trim(), "ok");
  if (process.env["HOSTILE_SHOW"] === "1")
    writeFileSync(
      join("/tmp", "hostile.txt"),
      texts.map((one) => `== ${one.kind} ${one.name}\n${one.text}`).join("\n"),
    );
});
