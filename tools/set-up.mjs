// Does all set-up that a command needs on a fresh machine, then runs it on our own Node. Plain JavaScript without packages, as it
// runs before anything is installed, on any Node from 20 on.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { allocator } from "./allocator.mjs";

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(top, ".cache");

/** What each command needs, in order, and what it runs in the end. */
const commands = {
  start: { needs: ["packages", "debian", "kinds", "build"], run: ["dist/cortado.cjs", "demo", "start"] },
  test: { needs: ["packages", "debian", "debianTest", "kinds", "build"], run: ["tools/test.ts"] },
  ci: {
    needs: ["packages", "debian", "debianTest", "debianCi", "kinds", "build"],
    run: ["tools/test.ts", "--all"],
  },
  ok: { needs: ["packages", "kinds"], run: ["tools/ok.ts"] },
  dev: { needs: ["packages", "debian", "kinds", "build"], run: ["tools/dev.ts"] },
  bench: {
    needs: ["packages", "debian", "debianTest", "debianBench", "kinds", "build"],
    run: ["tools/bench.ts"],
  },
  sim: { needs: ["packages", "kinds"], run: ["tools/sim.ts"] },
  statements: { needs: ["packages", "kinds"], run: ["tools/mqtt-statements.ts"] },
  golden: { needs: ["packages", "kinds"], run: ["tools/golden.ts"] },
  generate: { needs: ["packages"], run: ["tools/generate-kinds.ts"] },
  bundle: { needs: ["packages", "debian", "kinds", "build"], run: undefined },
};

const debianLists = {
  debian: [
    "containerd",
    "runc",
    "containernetworking-plugins",
    "nftables",
    "iptables",
    "iproute2",
    "util-linux",
    "procps",
    "busybox-static",
    "python3-minimal",
    "libpython3-stdlib",
    "git",
  ],
  debianTest: ["mosquitto-clients", "openssh-client", "curl", "e2fsprogs"],
  // Servers that Debian starts by itself are for machines of CI's only.
  debianCi: [
    "mosquitto",
    "nats-server",
    "rabbitmq-server",
    "openssh-server",
    "chromium",
    "fonts-dejavu-core",
    "qemu-system-x86",
  ],
  debianBench: ["etcd-server", "mosquitto"],
};

const steps = {
  packages: {
    title: "npm packages",
    isDone: packagesAreThere,
    act: () => quietly("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]),
  },
  debian: debianStep("Debian packages", debianLists.debian),
  debianTest: debianStep("Debian packages for the tests", debianLists.debianTest),
  debianCi: debianStep("Debian packages for all suites", debianLists.debianCi),
  debianBench: debianStep("Debian packages for the benchmarks", debianLists.debianBench),
  kinds: {
    title: "schemas of Kubernetes kinds",
    isDone: () =>
      stampIs("kinds", inputsOf(["tools/generate-kinds.ts", "package-lock.json"])) &&
      existsSync(join(top, "packages/kinds/src/generated")),
    act: async () => {
      await quietly(runtime(), ["tools/generate-kinds.ts"]);
      writeStamp("kinds", inputsOf(["tools/generate-kinds.ts", "package-lock.json"]));
    },
  },
  build: {
    title: "bundle and images",
    isDone: () => stampIs("build", buildInputs()) && existsSync(join(top, "dist/cortado.cjs")),
    act: async () => {
      await quietly(runtime(), ["tools/build.ts"]);
      writeStamp("build", buildInputs());
    },
  },
};

const [name = "", ...words] = process.argv.slice(2);
const command = commands[name];
if (command === undefined) {
  console.error(
    `set-up: there is no command ${JSON.stringify(name)}; there are ${Object.keys(commands).join(", ")}`,
  );
  process.exit(2);
}
process.chdir(top);
for (const need of command.needs) await doStep(steps[need]);
if (command.run !== undefined) await hand(command.run, words);

async function doStep(step) {
  if (step.isDone()) return;
  const startMs = Date.now();
  const seconds = () => `${((Date.now() - startMs) / 1000).toFixed(0)} s`;
  const show = (mark, tail) =>
    process.stdout.isTTY && process.stdout.write(`\r\u001b[K${mark} ${step.title} ${tail}`);
  let frame = 0;
  const ticking = setInterval(() => show("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[(frame += 1) % 10], seconds()), 100);
  if (!process.stdout.isTTY) console.log(`set-up: ${step.title} …`);
  try {
    await step.act();
    clearInterval(ticking);
    show("✓", `(${seconds()})\n`);
    if (!process.stdout.isTTY) console.log(`set-up: ${step.title} done (${seconds()})`);
  } catch (error) {
    clearInterval(ticking);
    if (process.stdout.isTTY) process.stdout.write("\n");
    console.error(`set-up: ${step.title} failed: ${error.message}`);
    process.exit(1);
  }
}

/** The Node that the project is written for: the npm package of this machine's kind, or this one when it is new enough. */
function runtime() {
  const ours = join(top, "node_modules", `node-linux-${process.arch}`, "bin", "node");
  if (process.platform === "linux" && existsSync(ours)) return ours;
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 24 || (major === 24 && minor >= 15)) return process.execPath;
  throw new Error(
    `Node 24.15 or newer is needed and this is ${process.versions.node}; install it from nodejs.org and try again`,
  );
}

async function hand(run, more) {
  const node = runtime();
  const env = {
    ...process.env,
    ...allocator,
    PATH: `${dirname(node)}:${process.env.PATH ?? ""}:/usr/sbin:/sbin`,
  };
  const child = spawn(node, [...run, ...more], { stdio: "inherit", env });
  // Ctrl-C on a terminal reaches the child as well; a second word to stop does it no harm, and we end with it.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  // npm killed outright says nothing: a demo that nobody can stop with Ctrl-C any more must not run on.
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && child.kill("SIGTERM"), 1000).unref();
  const { code, signal } = await new Promise((resolve) =>
    child.once("exit", (code, signal) => resolve({ code, signal })),
  );
  process.exitCode = code ?? (signal === null ? 1 : 128);
}

function quietly(program, words) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], env, cwd: top });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (part) => (said = (said + part).slice(-4000)));
    child.once("error", reject);
    child.once("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`${program} ${words.join(" ")} ended with ${code}\n${said}`)),
    );
  });
}

function packagesAreThere() {
  const installed = join(top, "node_modules", ".package-lock.json");
  return existsSync(installed) && stampIs("packages", inputsOf(["package-lock.json"]))
    ? true
    : rememberPackages(installed);
}

// npm itself knows whether the tree is the lock file's: its own record is newer than the lock.
function rememberPackages(installed) {
  const lock = join(top, "package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) return false;
  writeStamp("packages", inputsOf(["package-lock.json"]));
  return true;
}

function debianStep(title, packages) {
  const missing = () => packages.filter((one) => !isInstalled(one));
  return {
    title,
    // Elsewhere than on Debian, or without root, the simulated runtime says what is missing.
    isDone: () => !existsSync("/usr/bin/dpkg-query") || process.getuid?.() !== 0 || missing().length === 0,
    act: async () => {
      const wanted = ["--yes", "--no-install-recommends", "install", ...missing()];
      try {
        await quietly("apt-get", wanted);
      } catch {
        await quietly("apt-get", ["update"]);
        await quietly("apt-get", wanted);
      }
    },
  };
}

function isInstalled(one) {
  const answer = spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Status}", one], { encoding: "utf8" });
  return answer.status === 0 && answer.stdout === "installed";
}

function buildInputs() {
  return inputsOf(["packages", "examples", "tools/build.ts", "tools/images.ts", "package-lock.json"]);
}

/** A hash of what files hold: a clone or a checkout changes times, but not what is built from them. */
function inputsOf(paths) {
  const hash = createHash("sha256");
  const add = (path) => {
    const state = statSync(join(top, path), { throwIfNoEntry: false });
    if (state === undefined) return;
    if (state.isDirectory())
      for (const entry of readdirSync(join(top, path)).sort())
        entry === "node_modules" || add(join(path, entry));
    else if (!path.endsWith(".test.ts"))
      hash
        .update(path)
        .update("\0")
        .update(readFileSync(join(top, path)));
  };
  for (const path of paths) add(path);
  return hash.digest("hex");
}

function stampIs(name, value) {
  const path = join(cache, name);
  return existsSync(path) && readFileSync(path, "utf8") === value;
}

function writeStamp(name, value) {
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, name), value);
}
