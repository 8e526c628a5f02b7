import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseSync } from "oxc-parser";

// docs/guides/errors.md stays true: what it says is printed is in the sources, and what is refused by error is on the page.
const top = join(import.meta.dirname, "..", "..");
const page = readFileSync(join(top, "docs", "guides", "errors.md"), "utf8");
/** First column of the tables, in the form of a template: `…` stands for what is filled in. */
const told = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, message = ""]) => message);

/** Rooms whose refusals users of hub, agent and fleet.yaml meet. */
const rooms = [
  "packages/fleet/src/{agent,compile,desk,git,hub,rollout,rules}/**/*.ts",
  "packages/fleet/src/protocol/streams.ts",
  "packages/client/src/node/kubeconfig.ts",
  "packages/cli/src/fleet/*.ts",
  "packages/program/src/roles/{hub,fleet}*.ts",
  "packages/telemetry/src/{central,forward}/*.ts",
];
const files = rooms
  .flatMap((pattern) => globSync(pattern, { cwd: top }))
  .filter((path) => !path.includes(".test.") && !path.includes("/testing/"));

/** Not on the page: said between hub and agent when one of them is wrong, and the end of messages that are there. */
const inner: readonly RegExp[] = [
  /^(a|the) (hello|want|status|chunk|stream|binary message|first message)\b/,
  /^(no hello came|events are a list|a store sends no chunks|the last of the events)/,
  /^the hub (said|sent a message|did not say in whose name)/,
  /^(the connection has ended|the caller has gone away|an object was named|…; see above)/,
];

type Node = { readonly type?: string; readonly [field: string]: unknown };

const texts = new Set<string>();
const refusals = new Map<string, string>();
for (const path of files) read(parseSync(path, readFileSync(join(top, path), "utf8")).program, path);

function read(node: unknown, path: string): void {
  if (Array.isArray(node)) for (const one of node) read(one, path);
  if (typeof node !== "object" || node === null || Array.isArray(node)) return;
  const { type, callee, arguments: given } = node as Node;
  const text = textOf(node as Node);
  if (text !== undefined && text.includes(" ")) texts.add(text);
  if (type === "NewExpression" && (callee as Node)["name"] === "StatusError") {
    const message = textOf((given as readonly Node[])[1]);
    if (message !== undefined && message.replaceAll("…", "").trim().length > 8) refusals.set(message, path);
  }
  for (const value of Object.values(node)) read(value, path);
}

/** A text of the source with `…` for what is filled in; undefined for what is none. */
function textOf(node: Node | undefined): string | undefined {
  if (node?.type === "Literal" && typeof node["value"] === "string") return node["value"];
  if (node?.type === "TemplateLiteral")
    return (node["quasis"] as readonly { readonly value: { readonly cooked: string } }[])
      .map(({ value }) => value.cooked)
      .join("…");
  if (node?.type !== "BinaryExpression" || node["operator"] !== "+") return undefined;
  const [left, right] = [textOf(node["left"] as Node), textOf(node["right"] as Node)];
  return left === undefined && right === undefined ? undefined : `${left ?? "…"}${right ?? "…"}`;
}

function patternOf(message: string): RegExp {
  const parts = message.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join("[^]*")}$`);
}

const patterns = told.map((message) => ({ message, pattern: patternOf(message) }));

test("each message of the page is in the sources", () => {
  const all = [...texts];
  const stale = patterns.filter(({ pattern }) => {
    const anywhere = new RegExp(pattern.source.replace(/^\^/, ""));
    return !all.some((text) => anywhere.test(text));
  });
  assert.ok(told.length > 150, `${told.length} messages`);
  assert.deepEqual(
    stale.map(({ message }) => message),
    [],
  );
});

test("each refusal of the sources is on the page", () => {
  const missing = [...refusals].filter(
    ([message]) =>
      !patterns.some(({ pattern }) => pattern.test(message)) && !inner.some((one) => one.test(message)),
  );
  assert.deepEqual(
    missing.map(([message, path]) => `${path}: ${message}`),
    [],
  );
});
