import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { filterMatches } from "@cortado/wire/mqtt";
import { makeVerifier, verifierText } from "../auth/verifier.ts";
import { allowsFilter, allowsTopic, covers, globMatches, type AclRule } from "./acl.ts";
import { UserAccess, type KnownUser } from "./user-access.ts";

const who = { user: "espresso", clientId: "espresso-1" };

test("one filter covers another when it matches all that the other matches", () => {
  const yes = [
    ["#", "a"],
    ["#", "+/#"],
    ["#", "/a"],
    ["a/#", "a"],
    ["a/#", "a/+/c"],
    ["a/+", "a/b"],
    ["a/+", "a/+"],
    ["+/+", "/a"],
    ["/+/fridge/temp", "/store104/fridge/temp"],
    ["$SYS/#", "$SYS/broker/uptime"],
  ] as const;
  const no = [
    ["a", "a/#"],
    ["a/+", "a/#"],
    ["a/+", "a"],
    ["a/b", "a/+"],
    ["+", "#"],
    ["+/a", "/b"],
    ["#", "$SYS/#"],
    ["+/broker", "$SYS/broker"],
    ["a/b/c", "a/b"],
  ] as const;
  for (const [wide, narrow] of yes) assert.ok(covers(wide, narrow), `${wide} covers ${narrow}`);
  for (const [wide, narrow] of no) assert.ok(!covers(wide, narrow), `${wide} does not cover ${narrow}`);
});

test("what a filter covers never matches more than it does", () => {
  const random = seededRandom(11);
  const levels = ["a", "b", "", "+", "$x"];
  const filter = (): string => {
    const parts = Array.from({ length: 1 + random.integer(3) }, () => levels[random.integer(5)] ?? "");
    return random.integer(3) === 0 ? [...parts, "#"].join("/") : parts.join("/");
  };
  const topic = (): string =>
    Array.from({ length: 1 + random.integer(4) }, () => ["a", "b", "", "$x"][random.integer(4)]).join("/");
  for (let round = 0; round < 20_000; round += 1) {
    const [wide, narrow, one] = [filter(), filter(), topic()];
    if (wide !== "" && narrow !== "" && covers(wide, narrow) && filterMatches(narrow, one))
      assert.ok(filterMatches(wide, one), `${wide} covers ${narrow}, which matches ${one}`);
  }
});

test("rules count by access, client id, and with names put in", () => {
  const rules: readonly AclRule[] = [
    { topics: ["/+/%u/#"], access: ["read", "write"] },
    { topics: ["own/%c"], access: ["write"] },
    { topics: ["#"], access: ["subscribe"], clientIds: ["espresso-*"] },
  ];
  const write = (topic: string, asking = who): boolean =>
    allowsTopic(rules, { ...asking, access: "write", topic });
  const read = (topic: string): boolean => allowsTopic(rules, { ...who, access: "read", topic });
  assert.ok(write("/store104/espresso/cycles") && write("own/espresso-1"));
  assert.ok(!write("/store104/grinder/cycles") && !write("own/espresso-2") && !read("own/espresso-1"));
  assert.ok(allowsFilter(rules, { ...who, filter: "#" }));
  assert.ok(!allowsFilter(rules, { ...who, clientId: "other", filter: "#" }));
  assert.ok(allowsFilter(rules, { ...who, clientId: "other", filter: "/+/espresso/temp" }));
  assert.ok(!read("secret"), "who may ask for all gets only what he may read");
});

test("a name with a wildcard in it gets nothing by a rule with %u or %c", () => {
  const rules: readonly AclRule[] = [{ topics: ["a/%c", "b/%u"], access: ["read", "write"] }];
  for (const evil of ["#", "+", "x/y", "+/secret"]) {
    assert.ok(!allowsFilter(rules, { user: "u", clientId: evil, filter: `a/${evil}` }));
    assert.ok(!allowsTopic(rules, { user: evil, clientId: "c", access: "write", topic: "b/secret" }));
  }
});

test("a star in a client id's pattern stands for any text", () => {
  for (const [pattern, text, is] of [
    ["a", "a", true],
    ["a", "ab", false],
    ["a*", "a", true],
    ["*b", "ab", true],
    ["a*a", "a", false],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "a-c-b", false],
    ["*", "", true],
    ["x*bc*c", "xbc", false],
  ] as const)
    assert.equal(globMatches(pattern, text), is, `${pattern} ${text}`);
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const known = (more: Partial<KnownUser> & { user: string }): KnownUser => ({
  anonymous: false,
  rules: [],
  ...more,
});

test("who is let in: by password, by certificate, without a name, and by client id", async () => {
  const access = new UserAccess(seededRandom(4));
  const enter = async (
    username: string | undefined,
    password: string | undefined,
    { clientId = "c", commonName }: { clientId?: string; commonName?: string } = {},
  ): Promise<string | undefined> => {
    const credentials = {
      clientId,
      username,
      password: password === undefined ? undefined : bytes(password),
      remote: "somewhere",
      ...(commonName === undefined
        ? {}
        : { certificate: { commonName, subject: `CN=${commonName}`, fingerprint256: "AA" } }),
    };
    return (await access.authenticate(credentials))?.user;
  };
  let isIn = false;
  const early = enter("a", "x").then((user) => {
    isIn = true;
    return user;
  });
  await Promise.resolve();
  assert.equal(isIn, false, "nobody is let in before it is known who there is");
  access.replace([], { isOpen: true });
  assert.equal(await early, "");
  const users = [
    known({ user: "a", password: "right", clientIds: ["a-*", "c"] }),
    known({ user: "b", certificateName: "till-1" }),
    known({ user: "guest", anonymous: true }),
  ];
  const changed = access.replace(users, { isOpen: false });
  assert.deepEqual([...changed], [""], "who came while it was open has to come again");
  assert.equal(await enter("a", "right"), "a");
  assert.equal(await enter("a", "right", { clientId: "b-1" }), undefined);
  for (const wrong of ["", "righ", "rightx", "wrong"]) assert.equal(await enter("a", wrong), undefined);
  assert.equal(await enter("a", undefined), undefined);
  assert.equal(await enter("b", ""), undefined, "no password is set for it");
  assert.equal(await enter("nobody", "right"), undefined);
  assert.equal(await enter(undefined, undefined, { commonName: "till-1" }), "b");
  assert.equal(await enter(undefined, undefined, { commonName: "till-2" }), "guest");
  assert.equal(await enter(undefined, undefined), "guest");
  assert.deepEqual([...access.replace(users.slice(1), { isOpen: false })], ["a"]);
  assert.equal(await enter("a", "right"), undefined);
});

test("a password may be kept as its SCRAM verifier; either way it is told and shown", async () => {
  const access = new UserAccess(seededRandom(4));
  const verifier = await makeVerifier("crema", { salt: new Uint8Array(16), iterations: 4_096 });
  const users = [
    known({ user: "plain", password: "crema", clientIds: ["c"] }),
    known({ user: "kept", password: verifierText(verifier) }),
  ];
  access.replace(users, { isOpen: false });
  for (const { user } of users) {
    const shown = await access.scramVerifierOf({ user, clientId: "c" });
    const { salt = new Uint8Array(0), iterations = 0 } = shown ?? {};
    const again = await makeVerifier("crema", { salt, iterations });
    assert.deepEqual(Buffer.from(again.storedKey), Buffer.from(shown?.storedKey ?? []), user);
    const told = (password: string): Promise<unknown> =>
      access.authenticate({ clientId: "c", username: user, password: bytes(password), remote: "" });
    assert.deepEqual(await told("crema"), { user });
    assert.equal(await told("cream"), undefined);
  }
  assert.equal(await access.scramVerifierOf({ user: "plain", clientId: "d" }), undefined);
  assert.equal(await access.scramVerifierOf({ user: "nobody", clientId: "c" }), undefined);
});
