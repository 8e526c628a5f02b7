import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "@cortado/demo/doors";
import { systemGit } from "@cortado/fleet/git/node";
import type { GitLogin } from "@cortado/fleet/git";
import { run } from "../clients/clients.ts";

// A real sshd on loopback, with a configuration and keys of its own, and stock git behind it.
const sshd = "/usr/sbin/sshd";
const skip = existsSync(sshd) ? false : "there is no sshd; apt-get install openssh-server";
const separation = "/run/sshd";
const folder = mkdtempSync(join(tmpdir(), "cortado-ssh-"));
const { signal } = new AbortController();
const git = systemGit({ folder: join(folder, "cache"), path: "/usr/local/bin:/usr/bin:/bin" });
let port = 0;
let server: ChildProcess | undefined;
let madeSeparation = false;
let said = "";

async function stock(program: string, ...words: readonly string[]): Promise<string> {
  const { code, out, err } = await run(program, words, {
    env: { HOME: folder, GIT_CONFIG_GLOBAL: "/dev/null" },
  });
  assert.equal(code, 0, `${program} ${words.join(" ")}: ${err}`);
  return out.trim();
}

const file = (name: string): string => readFileSync(join(folder, name), "utf8");
const url = (): string => `ssh://${userInfo().username}@127.0.0.1:${port}${join(folder, "shop.git")}`;
const login = (key: string, knownHosts: string): GitLogin => ({
  kind: "ssh",
  privateKey: file(key),
  knownHosts,
});
const knownAs = (key: string): string => `[127.0.0.1]:${port} ${file(`${key}.pub`)}`;

before(async () => {
  if (skip !== false) return;
  for (const key of ["host", "other-host", "user", "stranger"])
    await stock("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(folder, key));
  writeFileSync(join(folder, "authorized"), file("user.pub"));
  const work = join(folder, "work");
  mkdirSync(work);
  writeFileSync(join(work, "fleet.yaml"), "defaultNamespace: coffee-shop\n");
  const who = ["-C", work, "-c", "user.name=A", "-c", "user.email=a@example.test"];
  await stock("git", ...who, "init", "--quiet", "--initial-branch", "main");
  await stock("git", ...who, "add", ".");
  await stock("git", ...who, "commit", "--quiet", "-m", "One");
  await stock("git", "clone", "--quiet", "--bare", work, join(folder, "shop.git"));
  [port = 0] = await freePorts(1);
  writeFileSync(
    join(folder, "config"),
    `ListenAddress 127.0.0.1
Port ${port}
HostKey ${join(folder, "host")}
AuthorizedKeysFile ${join(folder, "authorized")}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
`,
  );
  if (userInfo().uid === 0 && !existsSync(separation)) {
    mkdirSync(separation, { mode: 0o755 });
    madeSeparation = true;
  }
  server = spawn(sshd, ["-D", "-e", "-f", join(folder, "config")], { stdio: ["ignore", "ignore", "pipe"] });
  server.stderr?.on("data", (data: Buffer) => (said += data.toString()));
  await listening();
});

after(async () => {
  if (server !== undefined && server.exitCode === null) {
    const ended = new Promise((resolve) => server?.once("exit", resolve));
    server.kill("SIGTERM");
    await ended;
  }
  if (madeSeparation) rmSync(separation, { recursive: true });
  rmSync(folder, { recursive: true, force: true });
});

async function listening(): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) {
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" }, () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (isUp) return;
    await sleep(50);
  }
  assert.fail(`sshd does not listen: ${said}`);
}

test(
  "a repository over ssh is looked at and brought with a key, from a host that is known",
  { skip },
  async () => {
    const remote = { url: url(), login: login("user", knownAs("host")) };
    const commit = await git.look(remote, { branch: "main" }, { signal });
    assert.equal(commit.commit, await stock("git", "-C", join(folder, "work"), "rev-parse", "HEAD"));
    await using tree = await git.bring(remote, commit, { signal });
    assert.equal(new TextDecoder().decode(await tree.read("fleet.yaml")), "defaultNamespace: coffee-shop\n");
  },
);

test(
  "a host that is not in known_hosts, one with another key, and a key that is not let in are refused",
  { skip },
  async () => {
    for (const [of, message] of [
      [
        login("user", `[127.0.0.1]:1 ${file("host.pub")}`),
        /Host key verification failed|No .*host key is known/,
      ],
      [login("user", knownAs("other-host")), /Host key verification failed|IDENTIFICATION HAS CHANGED/],
      [login("stranger", knownAs("host")), /Permission denied/],
    ] as const)
      await assert.rejects(
        git.look({ url: url(), login: of }, { branch: "main" }, { signal }),
        (error: Error) => {
          assert.match(error.message, message);
          assert.match(error.message, /^ssh:\/\//, "it names the remote");
          return true;
        },
      );
  },
);

test("an address that is an option of ssh runs nothing", { skip }, async () => {
  const trap = join(folder, "trap");
  for (const bad of [
    `ssh://-oProxyCommand=touch%20${trap}/shop.git`,
    `-oProxyCommand=touch ${trap}:shop.git`,
  ])
    await assert.rejects(git.look({ url: bad, login: login("user", knownAs("host")) }, {}, { signal }), /./);
  assert.equal(existsSync(trap), false);
});
