import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "@cortado/std/node/clock";
import { World } from "./testing/world.ts";

const skip = process.getuid?.() === 0 ? false : "needs root";
const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

async function inWorld(work: (world: World, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "fnr-"));
  const cgroupParent = `/${folder.split("/").at(-1)}`;
  try {
    await using world = new World(systemClock, {
      plainProcesses: false,
      dataFolder: join(folder, "data"),
      runFolder: join(folder, "run"),
      cgroupParent,
    });
    await world.boot();
    await work(world, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const left = readdirSync("/sys/fs/cgroup").filter((name) =>
    existsSync(join("/sys/fs/cgroup", name, cgroupParent)),
  );
  assert.deepEqual(left, [], "no cgroup is left");
  assert.ok(!readFileSync("/proc/self/mountinfo", "utf8").includes(folder), "no mount is left");
}

async function answer(world: World, name: string, body: string): Promise<string> {
  for (let tries = 0; tries < 200; tries += 1) {
    const { status, body: text } = await world.call("POST", `/function/${name}`, { body });
    if (!(status === 404 || (status === 503 && /being deployed/.test(text)))) return `${status} ${text}`;
    await delay(20);
  }
  return "never deployed";
}

const probe = `
import os, socket, json
def attempt(work):
  try:
    return repr(work())
  except BaseException as error:
    return type(error).__name__
def connect(port):
  s = socket.socket(); s.settimeout(1); s.connect(("127.0.0.1", port)); return "connected"
def handle(req):
  want = json.loads(req)
  return json.dumps({
    "uid": os.getuid(), "pid": os.getpid(), "processes": len([p for p in os.listdir("/proc") if p.isdigit()]),
    "root": attempt(lambda: os.listdir("/root")), "file": attempt(lambda: open(want["file"]).read()),
    "network": attempt(lambda: connect(want["port"])), "interfaces": os.listdir("/sys/class/net") if os.path.exists("/sys/class/net") else attempt(lambda: [l.split(":")[0].strip() for l in open("/proc/net/dev").readlines()[2:]]),
    "write": attempt(lambda: open("/usr/x", "w")), "mount": os.system("mount -t tmpfs x /tmp 2>/dev/null") != 0,
    "mknod": attempt(lambda: os.mknod("/tmp/d", 0o600 | 0o060000, os.makedev(8, 0))),
    "privs": [l.strip() for l in open("/proc/self/status") if l.startswith(("NoNewPrivs", "CapEff", "CapBnd"))],
    "env": sorted(os.environ), "fds": sorted(os.listdir("/proc/self/fd")), "data": attempt(lambda: os.listdir("/data")),
    "parent": attempt(lambda: os.kill(want["parent"], 0))})
`;

test(
  "a function sees nothing of the machine, of us or of another function, and has no network",
  { skip },
  () =>
    inWorld(async (world, folder) => {
      mkdirSync(join(folder, "data/openfaas-fn/other"), { recursive: true });
      const secret = join(folder, "data/openfaas-fn/other/secret");
      writeFileSync(secret, "the other function's");
      const server = createServer((socket) => socket.end("hi")).listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      const port = typeof address === "object" ? address?.port : 0;
      world.deploy("probe", probe, { annotations: { "cortado.local/data": "1Mi" } });
      const text = await answer(world, "probe", JSON.stringify({ file: secret, port, parent: process.pid }));
      assert.match(text, /^200 /, text);
      const seen = JSON.parse(text.slice(4)) as Record<string, unknown>;
      assert.equal(seen["uid"], 65_534);
      assert.equal(seen["pid"], 1);
      assert.ok(Number(seen["processes"]) <= 2);
      assert.equal(seen["root"], "FileNotFoundError");
      assert.equal(seen["file"], "FileNotFoundError");
      assert.match(String(seen["network"]), /Error|unreachable/i);
      assert.match(String(seen["write"]), /OSError|PermissionError/);
      assert.equal(seen["mount"], true);
      assert.match(String(seen["mknod"]), /PermissionError/);
      assert.deepEqual(seen["privs"], [
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
      ]);
      assert.deepEqual(seen["data"], "[]", "its own folder is there, and empty");
      assert.match(String(seen["parent"]), /ProcessLookupError/);
      assert.ok(!JSON.stringify(seen["env"]).includes("PWD"), "nothing of our environment");
      const status = world.api.object("functions", "openfaas-fn", "probe")?.["status"] as {
        isolation: string;
      };
      assert.match(
        status.isolation,
        /^namespaces: mount,pid,net,ipc,uts; cgroup v[12]: .*no-new-privs.*network: none$/,
      );
      await new Promise((resolve) => void server.close(resolve));
    }),
);

test("a memory bomb, a fork bomb and an endless loop hurt only themselves", { skip }, () =>
  inWorld(async (world) => {
    const bombs =
      "import os, threading\ndef handle(req):\n  if req == 'memory':\n    x = []\n    while True: x.append(bytearray(1 << 20))\n  if req == 'fork':\n    n = 0\n    try:\n      while n < 1000:\n        if os.fork() == 0: os.pause() if hasattr(os, 'pause') else threading.Event().wait()\n        n += 1\n    except OSError: return 'stopped at ' + str(n)\n  if req == 'loop':\n    while True: pass\n  return 'fine'";
    world.deploy("bomb", bombs, {
      spec: {
        limits: { memory: "128Mi", cpu: "1" },
        environment: { exec_timeout: "1500ms" },
        labels: { "com.openfaas.scale.max": "1" },
      },
    });
    assert.equal(await answer(world, "bomb", ""), "200 fine");
    assert.match(await answer(world, "bomb", "memory"), /^502 .*more memory than its limit/);
    assert.equal(await answer(world, "bomb", ""), "200 fine");
    const text = await answer(world, "bomb", "fork");
    const forked = /^200 stopped at (\d+)$/.exec(text);
    assert.ok(forked !== null && Number(forked[1]) < 64, `the cgroup stops it: ${text}`);
    assert.match(await answer(world, "bomb", "loop"), /^504 .*was killed/);
    assert.equal(await answer(world, "bomb", ""), "200 fine");
  }),
);

test("TypeScript runs under the same walls", { skip }, () =>
  inWorld(async (world) => {
    const code =
      "import { readdirSync, readFileSync } from 'node:fs';\nimport { connect } from 'node:net';\nexport async function handle(req: string): Promise<object> {\n  const network = await new Promise((done) => connect(Number(req), '127.0.0.1').on('connect', () => done('connected')).on('error', (e: any) => done(e.code)));\n  return { network, uid: process.getuid!(), env: Object.keys(process.env), root: readdirSync('/').includes('home'), nnp: /NoNewPrivs:\\t1/.test(readFileSync('/proc/self/status', 'utf8')) };\n}";
    world.deploy("ts", code, { language: "node" });
    const text = await answer(world, "ts", "22");
    assert.match(text, /^200 /, text);
    const seen = JSON.parse(text.slice(4)) as Record<string, unknown>;
    assert.deepEqual(
      { ...seen, env: undefined },
      { network: seen["network"], uid: 65_534, env: undefined, root: false, nnp: true },
    );
    assert.notEqual(seen["network"], "connected");
  }),
);

test("when functions stop, no child is left", { skip }, async () => {
  let pids: readonly string[] = [];
  await inWorld(async (world, folder) => {
    world.deploy("f", "def handle(req): return 'x'");
    assert.equal(await answer(world, "f", ""), "200 x");
    const files = [
      `/sys/fs/cgroup/pids/${folder.split("/").at(-1)}`,
      `/sys/fs/cgroup/${folder.split("/").at(-1)}`,
    ].filter((path) => existsSync(path));
    pids = files.flatMap((path) =>
      readdirSync(path)
        .filter((name) => name.startsWith("python3-"))
        .flatMap((name) =>
          readFileSync(join(path, name, "cgroup.procs"), "utf8")
            .trim()
            .split("\n"),
        ),
    );
    assert.ok(pids.length >= 4, "two interpreters, each below its own first process");
  });
  assert.deepEqual(
    pids.filter((pid) => pid !== "" && existsSync(`/proc/${pid}`)),
    [],
  );
});
