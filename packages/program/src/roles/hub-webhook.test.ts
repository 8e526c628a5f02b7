import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import type { Client } from "@cortado/client";
import { StatusError } from "@cortado/std/status";
import type { HttpRequest } from "@cortado/std/http";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { webhookRoute } from "./hub-webhook.ts";

const payload = JSON.stringify({
  ref: "refs/heads/main",
  after: "a".repeat(40),
  repository: { html_url: "https://git.example.test/shop" },
});

/** A hub with these Secrets, and GitRepos that follow every push: one that has no secret of its own, one with `fleet-default/own`. */
function door(
  secrets: Readonly<Record<string, string>>,
  following: readonly string[] = ["", "fleet-default/own"],
) {
  const clock = new HeldClock();
  const woken: (string | undefined)[] = [];
  const get = (_type: unknown, { namespace, name }: { namespace?: string; name: string }) => {
    const github = secrets[`${namespace ?? ""}/${name}`];
    if (github === undefined) return Promise.reject(new StatusError("NotFound", "no such Secret"));
    return Promise.resolve({ data: { github: Buffer.from(github).toString("base64") } });
  };
  const route = webhookRoute({
    client: { get } as unknown as Client,
    repositories: {
      secretsFor: () => following,
      pushed: (_push, secret) => {
        woken.push(secret);
        return 1;
      },
    },
    clock,
    log: silentLog,
    signal: new AbortController().signal,
  });
  const post = async (secret?: string): Promise<{ status: number; body: string }> => {
    const signature = createHmac("sha256", secret ?? "")
      .update(payload)
      .digest("hex");
    const headers = {
      "x-github-event": "push",
      ...(secret === undefined ? {} : { "x-hub-signature-256": `sha256=${signature}` }),
    };
    const body = (): Promise<Uint8Array> => Promise.resolve(new TextEncoder().encode(payload));
    const answer = await route.handle(
      { method: "POST", path: "/webhook", headers, body } as unknown as HttpRequest,
      {
        user: { name: "nobody", groups: [] },
      } as never,
    );
    return { status: answer.status, body: String(answer.body) };
  };
  return { post, woken, clock };
}

test("each GitRepo is woken by who knows its secret: the common one, or its own", async () => {
  const { post, woken } = door({
    "cattle-fleet-system/gitjob-webhook": "common",
    "fleet-default/own": "own",
  });
  assert.equal((await post("common")).status, 200);
  assert.equal((await post("own")).status, 200);
  assert.deepEqual(woken, ["", "fleet-default/own"]);
  await assert.rejects(post("wrong"), { reason: "Unauthorized" });
  await assert.rejects(post(), { reason: "Unauthorized" });
  assert.equal(woken.length, 2);
});

test("without the Secret anybody may wake the hub now and then, and is told so; a named Secret that is missing wakes nobody", async () => {
  const { post, woken, clock } = door({}, [""]);
  const first = await post();
  assert.match(
    first.body,
    /make Secret cattle-fleet-system\/gitjob-webhook with key github, or set spec\.webhookSecret/,
  );
  for (let turn = 1; turn < 30; turn += 1) await post();
  await assert.rejects(post(), {
    reason: "TooManyRequests",
    message: /too many webhooks that prove nothing; come back in 2 s, or make Secret/,
  });
  assert.equal(woken.length, 30);
  await clock.advance(2_000);
  assert.equal((await post()).status, 200);
  const named = door({}, ["fleet-default/own"]);
  await assert.rejects(named.post("own"), {
    message: /Secret fleet-default\/own, which spec\.webhookSecret names/,
  });
});
