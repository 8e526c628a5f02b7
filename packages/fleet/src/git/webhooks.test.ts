import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { checkWebhook, isSameRepository, providerOf, readPushes, type WebhookProvider } from "./webhooks.ts";

const commit = "a".repeat(40);
const secret = "wake-up";
const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const signed = (body: Uint8Array): string => createHmac("sha256", secret).update(body).digest("hex");

type Case = {
  readonly provider: WebhookProvider;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: unknown;
  readonly proof: (body: Uint8Array) => Readonly<Record<string, string>>;
};

const hub = {
  ref: "refs/heads/main",
  after: commit,
  repository: {
    html_url: "https://git.example.test/shop/edge",
    ssh_url: "git@git.example.test:shop/edge.git",
  },
};
const cases: readonly Case[] = [
  {
    provider: "github",
    headers: { "x-github-event": "push" },
    payload: hub,
    proof: (body) => ({ "x-hub-signature-256": `sha256=${signed(body)}` }),
  },
  {
    provider: "gogs",
    headers: { "x-gogs-event": "push", "x-github-event": "push" },
    payload: hub,
    proof: (body) => ({ "x-gogs-signature": signed(body) }),
  },
  {
    provider: "gitlab",
    headers: { "x-gitlab-event": "Push Hook" },
    payload: {
      ref: "refs/heads/main",
      checkout_sha: commit,
      project: { web_url: "https://git.example.test/shop/edge" },
    },
    proof: () => ({ "x-gitlab-token": secret }),
  },
  {
    provider: "bitbucket",
    headers: { "x-hook-uuid": "1", "x-event-key": "repo:push" },
    payload: {
      repository: { links: { html: { href: "https://git.example.test/shop/edge" } } },
      push: { changes: [{ new: { type: "branch", name: "main", target: { hash: commit } } }] },
    },
    proof: (body) => ({ "x-hub-signature": `sha256=${signed(body)}` }),
  },
  {
    provider: "bitbucket-server",
    headers: { "x-event-key": "repo:refs_changed" },
    payload: {
      repository: { links: { clone: [{ href: "ssh://git@git.example.test:7999/shop/edge.git" }] } },
      changes: [{ ref: { id: "refs/heads/main" }, toHash: commit }],
    },
    proof: (body) => ({ "x-hub-signature": `sha256=${signed(body)}` }),
  },
  {
    provider: "azure",
    headers: { "x-vss-activityid": "1" },
    payload: {
      eventType: "git.push",
      resource: {
        repository: { remoteUrl: "https://git.example.test/shop/edge" },
        refUpdates: [{ name: "refs/heads/main", newObjectId: commit }],
      },
    },
    proof: () => ({ authorization: `Basic ${Buffer.from(`hook:${secret}`).toString("base64")}` }),
  },
];

for (const { provider, headers, payload, proof } of cases)
  test(`a push told by ${provider} is read, and its sender is checked`, () => {
    const body = bytes(payload);
    const secrets = { [provider]: secret, "azure-username": "hook", "azure-password": secret };
    assert.equal(providerOf(headers), provider);
    checkWebhook(provider, { headers: { ...headers, ...proof(body) }, body, secrets });
    assert.throws(() => checkWebhook(provider, { headers, body, secrets }), { reason: "Unauthorized" });
    const wrong = Object.fromEntries(Object.keys(proof(body)).map((name) => [name, "wrong"]));
    assert.throws(() => checkWebhook(provider, { headers: { ...headers, ...wrong }, body, secrets }), {
      reason: "Unauthorized",
    });
    checkWebhook(provider, { headers, body, secrets: {} });
    const [push] = readPushes(provider, headers, body);
    assert.deepEqual(
      { branch: push?.branch, tag: push?.tag, commit: push?.commit },
      {
        branch: "main",
        tag: undefined,
        commit,
      },
    );
    assert.ok(push?.urls.some((url) => isSameRepository(url, "https://git.example.test/shop/edge.git")));
  });

test("tags, deletions and other events", () => {
  const headers = { "x-github-event": "push" };
  const tag = bytes({ ...hub, ref: "refs/tags/v1.0.0" });
  assert.deepEqual(readPushes("github", headers, tag)[0]?.tag, "v1.0.0");
  const gone = bytes({ ...hub, after: "0".repeat(40) });
  assert.equal(readPushes("github", headers, gone)[0]?.commit, undefined);
  assert.deepEqual(readPushes("github", { "x-github-event": "ping" }, bytes({ zen: "" })), []);
  assert.throws(() => readPushes("github", headers, bytes([1])), { reason: "BadRequest" });
  assert.throws(() => readPushes("github", headers, new TextEncoder().encode("{")), { reason: "BadRequest" });
});

test("a repository is the same by host and path", () => {
  const one = "https://Git.example.test/shop/edge";
  for (const other of [
    "git@git.example.test:shop/edge.git",
    "ssh://git@git.example.test:22/shop/edge",
    `${one}.git/`,
  ])
    assert.ok(isSameRepository(one, other), other);
  for (const other of [
    "https://git.example.test/shop/edge2",
    "https://evil.test/git.example.test/shop/edge",
    "",
  ])
    assert.ok(!isSameRepository(one, other), other);
});
