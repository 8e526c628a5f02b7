import assert from "node:assert/strict";
import { test } from "node:test";
import { authorityHashOf, parseToken, secureToken } from "./token.ts";

const hash = "a1".repeat(32);

for (const { text, want } of [
  {
    text: "secret",
    want: { authorityHash: undefined, credential: { kind: "password", user: "node", password: "secret" } },
  },
  {
    text: " secret\n",
    want: { authorityHash: undefined, credential: { kind: "password", user: "node", password: "secret" } },
  },
  {
    text: `K10${hash}::server:se:cr:et`,
    want: { authorityHash: hash, credential: { kind: "password", user: "server", password: "se:cr:et" } },
  },
  {
    text: `K10${hash.toUpperCase()}::node:x`,
    want: { authorityHash: hash, credential: { kind: "password", user: "node", password: "x" } },
  },
  {
    text: "abcdef.0123456789abcdef",
    want: { authorityHash: undefined, credential: { kind: "bootstrap", token: "abcdef.0123456789abcdef" } },
  },
  {
    text: `K10${hash}::abcdef.0123456789abcdef`,
    want: { authorityHash: hash, credential: { kind: "bootstrap", token: "abcdef.0123456789abcdef" } },
  },
])
  test(`a token ${JSON.stringify(text.slice(0, 12))}… is read`, () =>
    assert.deepEqual(parseToken(text), want));

for (const { text, says } of [
  { text: "", says: /it is empty/ },
  { text: "two words", says: /spaces/ },
  { text: "K10abc::server:x", says: /64 hex digits/ },
  { text: `K10${hash}`, says: /64 hex digits/ },
  { text: `K10${hash}::server`, says: /a user, a colon and a password/ },
  { text: `K10${hash}:::x`, says: /a user, a colon and a password/ },
  { text: `K10${hash}::server:`, says: /a user, a colon and a password/ },
])
  test(`a token ${JSON.stringify(text.slice(0, 12))} is refused, and not repeated`, () => {
    assert.throws(
      () => parseToken(text),
      (error: Error) => says.test(error.message) && (text === "" || !error.message.includes(text)),
    );
  });

test("what a server hands out is read back", () => {
  const token = secureToken("PEM", { user: "server", password: "s" });
  assert.deepEqual(parseToken(token), {
    authorityHash: authorityHashOf("PEM"),
    credential: { kind: "password", user: "server", password: "s" },
  });
});
