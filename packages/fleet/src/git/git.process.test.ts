import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { nodeListener } from "@cortado/std/node/http";
import { silentLog } from "@cortado/std/testing/silent-log";
import type { SourceTree } from "../compile/bundle.ts";
import type { Git } from "./git.ts";
import { GitServer } from "./node/git-server.ts";
import { systemGit } from "./node/system-git.ts";

// Stock git pushes to our server, and our side looks and brings over the same smart HTTP.
const path = "/usr/local/bin:/usr/bin:/bin";
const folder = mkdtempSync(join(tmpdir(), "cortado-git-test-"));
const pushes: string[] = [];
const server = new GitServer({
  folder: join(folder, "served"),
  path,
  log: silentLog,
  pushed: (repository) => void pushes.push(repository),
});
const http = createServer(
  nodeListener((request) => server.handle(request, { path: request.path, user: "me" })),
);
const git: Git = systemGit({ folder: join(folder, "cache"), path });
const { signal } = new AbortController();
let base = "";

before(async () => {
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  mkdirSync(join(folder, "seed", "manifests"), { recursive: true });
  writeFileSync(join(folder, "seed", "fleet.yaml"), "defaultNamespace: coffee-shop\n");
  writeFileSync(join(folder, "seed", "manifests", "order.yaml"), "kind: ConfigMap\n");
  symlinkSync("/etc/passwd", join(folder, "seed", "out"));
  for (const repository of ["shop.git", "inner.git"])
    await server.seed({ repository, from: join(folder, "seed"), message: "The first", signal });
});
after(async () => {
  http.closeAllConnections();
  await new Promise((resolve) => http.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

const exec = promisify(execFile);
async function stock(at: string, ...words: readonly string[]): Promise<string> {
  const who = [
    "-c",
    "user.name=Someone",
    "-c",
    "user.email=someone@example.test",
    "-c",
    "protocol.file.allow=always",
  ];
  const { stdout } = await exec("git", [...who, "-C", at, ...words], {
    env: { PATH: path, HOME: folder, GIT_TERMINAL_PROMPT: "0" },
  });
  return stdout.trim();
}

async function clone(name: string, to: string): Promise<string> {
  await stock(folder, "clone", "--quiet", `${base}/${name}`, to);
  return join(folder, to);
}

async function textOf(tree: SourceTree, name: string): Promise<string> {
  return new TextDecoder().decode(await tree.read(name));
}

test("a seeded repository is looked at and brought; seeding again changes nothing", async () => {
  const remote = { url: `${base}/shop.git` };
  const first = await git.look(remote, { branch: "main" }, { signal });
  await server.seed({ repository: "shop.git", from: folder, message: "Another", signal });
  assert.deepEqual(await git.look(remote, { branch: "main" }, { signal }), first);
  await using tree = await git.bring(remote, first, { signal });
  assert.deepEqual(
    tree.files.map(({ path: name, kind }) => `${kind} ${name}`),
    ["file fleet.yaml", "file manifests/order.yaml", "link out"],
  );
  assert.equal(await textOf(tree, "fleet.yaml"), "defaultNamespace: coffee-shop\n");
  assert.equal(await textOf(tree, "out"), "/etc/passwd", "a link is its target, not what it points to");
  await assert.rejects(tree.read("missing"), { reason: "NotFound" });
});

test("a push by stock git is told once it has ended, and brought by branch, tag and range", async () => {
  const at = await clone("shop.git", "work");
  const many = Array.from({ length: 300 }, (_, number) => `files/${number}.yaml`);
  mkdirSync(join(at, "files"));
  for (const name of many) writeFileSync(join(at, name), `name: ${name}\n`.repeat(50));
  writeFileSync(join(at, "empty"), "");
  await stock(at, "add", "-A");
  await stock(at, "commit", "--quiet", "-m", "More");
  await stock(at, "tag", "-a", "v1.2.3", "-m", "A release");
  await stock(at, "push", "--quiet", "--follow-tags", "origin", "main");
  assert.deepEqual(pushes, ["shop.git"]);
  const remote = { url: `${base}/shop.git` };
  const head = await stock(at, "rev-parse", "HEAD");
  for (const wish of [{ branch: "main" }, { revision: "v1.2.3" }, { revision: "~1.2" }, { revision: head }])
    assert.equal((await git.look(remote, wish, { signal })).commit, head, JSON.stringify(wish));
  await using tree = await git.bring(remote, { commit: head, ref: undefined }, { signal });
  const read = await Promise.all(many.map((name) => textOf(tree, name)));
  assert.deepEqual(
    read,
    many.map((name) => `name: ${name}\n`.repeat(50)),
  );
  assert.equal(await textOf(tree, "empty"), "");
});

test("submodules are brought with it, and one that leads onto the hub's disk is refused", async () => {
  const at = await clone("shop.git", "outer");
  await stock(at, "submodule", "--quiet", "add", "../inner.git", "parts/inner");
  await stock(at, "commit", "--quiet", "-m", "A submodule");
  await stock(at, "push", "--quiet", "origin", "HEAD:refs/heads/with-part");
  const remote = { url: `${base}/shop.git` };
  const commit = await git.look(remote, { branch: "with-part" }, { signal });
  await using tree = await git.bring(remote, commit, { signal });
  assert.equal(await textOf(tree, "parts/inner/fleet.yaml"), "defaultNamespace: coffee-shop\n");
  assert.ok(!tree.files.some(({ kind }) => kind === "submodule"));
  writeFileSync(join(at, ".gitmodules"), '[submodule "parts/inner"]\npath = parts/inner\nurl = /etc\n');
  await stock(at, "commit", "--quiet", "-am", "Out of here");
  await stock(at, "push", "--quiet", "origin", "HEAD:refs/heads/outside");
  const outside = await git.look(remote, { branch: "outside" }, { signal });
  await assert.rejects(
    git.bring(remote, outside, { signal }),
    /"\/etc" of a submodule is not https, http or ssh/,
  );
});

test("a login is not told to the host of a submodule, and none to whoever redirects", async () => {
  const heard: (string | undefined)[] = [];
  const thief = createServer((request, response) => {
    heard.push(request.headers.authorization);
    response.writeHead(401, { "www-authenticate": 'Basic realm="more"' }).end();
  });
  await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve));
  const other = `http://127.0.0.1:${(thief.address() as AddressInfo).port}`;
  try {
    const at = await clone("shop.git", "leaky");
    const head = await stock(at, "rev-parse", "HEAD");
    writeFileSync(join(at, ".gitmodules"), `[submodule "x"]\npath = x\nurl = ${other}/x.git\n`);
    await stock(at, "add", ".gitmodules");
    await stock(at, "update-index", "--add", "--cacheinfo", `160000,${head},x`);
    await stock(at, "commit", "--quiet", "-m", "A thief");
    await stock(at, "push", "--quiet", "origin", "HEAD:refs/heads/leaky");
    const login = { kind: "password", username: "me", password: "hidden" } as const;
    const remote = { url: `${base}/shop.git`, login };
    const commit = await git.look(remote, { branch: "leaky" }, { signal });
    await assert.rejects(git.bring(remote, commit, { signal }), (error: Error) => {
      assert.match(error.message, new RegExp(other.replaceAll(".", "\\.")));
      return true;
    });
    assert.ok(heard.length > 0, "it was asked");
    await assert.rejects(git.look({ url: `${other}/y.git`, login }, { branch: "main" }, { signal }), /./);
    const [words] = heard.filter((one) => one !== undefined);
    assert.equal(
      Buffer.from(words?.slice("Basic ".length) ?? "", "base64").toString(),
      "me:hidden",
      "its own remote is told",
    );
    assert.ok(
      heard.slice(0, 2).every((one) => one === undefined),
      "the submodule's host heard nothing",
    );
  } finally {
    thief.closeAllConnections();
    await new Promise((resolve) => thief.close(resolve));
  }
});

test("a commit must be signed by one who may, when that is asked", async () => {
  const at = await clone("shop.git", "signed");
  await exec("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "key")]);
  const { stdout: key } = await exec("cat", [join(folder, "key.pub")]);
  const remote = { url: `${base}/shop.git` };
  const signers = { allowedSigners: `someone@example.test ${key}` };
  const plain = await git.look(remote, { branch: "main" }, { signal });
  await assert.rejects(git.bring(remote, plain, { signal, signers }), {
    reason: "Forbidden",
    message: /is not signed by an allowed signer/,
  });
  const sign = ["-c", "gpg.format=ssh", "-c", `user.signingKey=${join(folder, "key")}`];
  await stock(at, ...sign, "commit", "--quiet", "--allow-empty", "-S", "-m", "Signed");
  await stock(at, "push", "--quiet", "origin", "HEAD:refs/heads/signed");
  const commit = await git.look(remote, { branch: "signed" }, { signal });
  await using tree = await git.bring(remote, commit, { signal, signers });
  assert.ok(tree.files.length > 0);
});

test("what does not answer, is not there or is no address is named, without its password", async () => {
  const wrong = { url: `${base.replace("http://", "http://me:hidden@")}/nothing.git` };
  await assert.rejects(git.look(wrong, {}, { signal }), (error: Error) => {
    assert.match(error.message, /nothing\.git/);
    assert.doesNotMatch(error.message, /hidden/);
    return true;
  });
  await assert.rejects(
    git.look({ url: `${base}/shop.git` }, { branch: "mian" }, { signal }),
    /no branch "mian"; it has/,
  );
  await assert.rejects(git.look({ url: folder }, {}, { signal }), /not allowed/);
  await assert.rejects(git.look({ url: "--upload-pack=touch /tmp/x" }, {}, { signal }), /./);
});
