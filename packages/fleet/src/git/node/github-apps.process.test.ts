import assert from "node:assert/strict";
import { createVerify, generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { StatusError } from "@cortado/std/status";
import { githubApi } from "../github-app.ts";
import { newGitHubApps } from "./github-apps.ts";

const pem = { type: "pkcs8", format: "pem" } as const;
const own = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const other = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const curve = generateKeyPairSync("ec", { namedCurve: "P-256" });
const app = { appId: "4711", installationId: "815", privateKey: own.privateKey.export(pem) as string };
const remote = { url: "https://git.example.test/shop/menu.git" };
const { signal } = new AbortController();

/** GitHub's API as far as it gives tokens: to who signs by the app's key, for a claim that holds now. */
class Api implements AsyncDisposable {
  readonly clock = new HeldClock();
  readonly asked: string[] = [];
  answer: { readonly status: number; readonly text: string } | undefined;
  #server: Server | undefined;
  url = "";

  static async start(): Promise<Api> {
    const api = new Api();
    const server = createServer((request, response) => {
      request.resume();
      const { status, text } = api.#answer(request.url ?? "", request.headers.authorization ?? "");
      response.writeHead(status, { "content-type": "application/json" }).end(text);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    api.#server = server;
    api.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return api;
  }

  #answer(path: string, authorization: string): { readonly status: number; readonly text: string } {
    this.asked.push(path);
    if (this.answer !== undefined) return this.answer;
    const [head = "", claims = "", signature = ""] = authorization.replace(/^Bearer /, "").split(".");
    const read = (part: string): Record<string, unknown> =>
      JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
    const { iat, exp, iss } = read(claims) as { iat: number; exp: number; iss: string };
    const nowS = this.clock.nowMs() / 1_000;
    const isGood =
      read(head)["alg"] === "RS256" &&
      createVerify("sha256").update(`${head}.${claims}`).verify(own.publicKey, signature, "base64url") &&
      iss === "4711" &&
      iat <= nowS &&
      exp > nowS &&
      exp - iat <= 600;
    if (!isGood)
      return { status: 401, text: JSON.stringify({ message: "A JSON web token could not be decoded" }) };
    if (path !== "/app/installations/815/access_tokens")
      return { status: 404, text: JSON.stringify({ message: "Integration not found" }) };
    const until = new Date(this.clock.nowMs() + 3_600_000).toISOString();
    return { status: 201, text: JSON.stringify({ token: `ghs_${this.asked.length}`, expires_at: until }) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }
}

test("an app gets a token by its key, has it until shortly before its end, and then another", async () => {
  await using api = await Api.start();
  const apps = newGitHubApps({ clock: api.clock, apiOf: () => api.url });
  const login = (purpose = "fleet-default/shop") => apps.login(app, remote, { for: purpose, signal });
  const first = await login();
  assert.deepEqual(first, { kind: "password", username: "x-access-token", password: "ghs_1" });
  await api.clock.advance(3_000_000);
  assert.deepEqual(await login(), first);
  assert.equal(api.asked.length, 1);
  await api.clock.advance(300_000);
  assert.equal(
    (await login()).kind === "password" && api.asked.length,
    2,
    "its last six minutes are not used",
  );
  apps.forget("fleet-default/shop");
  await login();
  assert.equal(api.asked.length, 2, "one that is new is not asked for again at once");
  await api.clock.advance(60_000);
  apps.forget("fleet-default/shop");
  await login();
  assert.equal(api.asked.length, 3);
  await login("fleet-default/other");
  assert.equal(api.asked.length, 4, "each GitRepo has its own");
});

test("what GitHub refuses is told with its words, and asked for again", async () => {
  await using api = await Api.start();
  const apps = newGitHubApps({ clock: api.clock, apiOf: () => api.url });
  const fails = async (of: Partial<typeof app>, reason: string, message: RegExp): Promise<void> => {
    const asked = apps.login({ ...app, ...of }, remote, { for: "shop", signal });
    await assert.rejects(asked, (error: unknown) => {
      assert.ok(error instanceof StatusError);
      assert.equal(error.reason, reason);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /PRIVATE KEY|Bearer/);
      return true;
    });
  };
  const foreign = other.privateKey.export(pem) as string;
  await fails(
    { privateKey: foreign },
    "Unauthorized",
    /GitHub App 4711, installation 815: 127.* answers 401: A JSON web/,
  );
  await fails({ installationId: "1/../815" }, "NotFound", /answers 404: Integration not found/);
  await fails(
    { privateKey: "hidden" },
    "Invalid",
    /github_app_private_key of GitHub App 4711 is no PEM of an RSA key/,
  );
  await fails({ privateKey: curve.privateKey.export(pem) as string }, "Invalid", /is no PEM of an RSA key/);
  for (const [answer, message] of [
    [{ status: 200, text: "<html>a login page" }, /answers 200: <html>/],
    [{ status: 201, text: "{}" }, /answers without a token; is it GitHub\?/],
    [{ status: 201, text: "[]" }, /answers without a token/],
    [{ status: 502, text: "x".repeat(100_000) }, /does not answer: more than 65536 bytes/],
  ] as const) {
    api.answer = answer;
    await fails({}, "ServiceUnavailable", message);
  }
  api.answer = undefined;
  assert.equal((await apps.login(app, remote, { for: "shop", signal })).kind, "password");
  const nobody = newGitHubApps({ clock: api.clock, apiOf: () => "http://127.0.0.1:9" });
  await assert.rejects(
    nobody.login(app, remote, { for: "shop", signal }),
    /127\.0\.0\.1:9 does not answer: /,
  );
});

test("the API of github.com and of a server of one's own", () => {
  assert.equal(githubApi("https://github.com/shop/menu.git"), "https://api.github.com");
  assert.equal(githubApi("https://git.example.test:8443/shop/menu"), "https://git.example.test:8443/api/v3");
  for (const url of [
    "git@github.com:shop/menu.git",
    "ssh://git@github.com/shop/menu",
    "http://github.com/shop/menu",
  ])
    assert.throws(() => githubApi(url), /a GitHub App logs in over https/);
});
