import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { run, type Ran } from "../clients/clients.ts";
import { bundle, call, DemoWorld, until, whyNoBoxes } from "./demo-world.ts";

// Each bad input gets its clear error, and the shop sells on after each.
const missing = await whyNoBoxes();
const skip = missing ?? false;
const world = new DemoWorld();

const apply = (text: string, ...words: readonly string[]): Promise<Ran> =>
  world.ask("bad", ["apply", ...words, "-f", "-"], { input: text });
const map = (more: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\n${more}`;

before(async () => {
  if (missing !== undefined) return;
  await world.start();
  await world.tell("bad", "create namespace bad");
  await until(
    "the namespace's account",
    async () => (await world.ask("bad", "get serviceaccount default")).code === 0,
    5_000,
  );
});
afterEach(() => (missing === undefined ? world.isWell() : undefined));
after(() => world.end());

for (const { name, text, says, words = [] } of [
  {
    name: "a number for a text",
    text: map("data: { a: 5 }"),
    says: /json: cannot unmarshal number into Go struct field ConfigMap\.data\.a of type string/,
  },
  {
    name: "an unknown field",
    text: map("dtaa: { a: b }"),
    says: /strict decoding error: unknown field "dtaa"/,
  },
  {
    name: "a text for a number",
    words: ["--validate=false"],
    text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\nspec: { replicas: three }",
    says: /cannot unmarshal string into Go struct field Deployment\.spec\.replicas of type int32/,
  },
  {
    name: "a bad name",
    text: "apiVersion: v1\nkind: Pod\nmetadata: { name: -bad- }\nspec: { containers: [{ name: c, image: i }] }",
    says: /metadata\.name: Invalid value: "-bad-": a lowercase RFC 1123 subdomain/,
  },
  {
    name: "a bad label",
    text: "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x, labels: { __proto__: a } }",
    says: /metadata\.labels: Invalid value: "__proto__": name part must consist of/,
  },
  {
    name: "no containers",
    text: "apiVersion: v1\nkind: Pod\nmetadata: { name: x }\nspec: { containers: [] }",
    says: /spec\.containers: Required value/,
  },
  {
    name: "a volume that is not there",
    text: "apiVersion: v1\nkind: Pod\nmetadata: { name: x }\nspec: { containers: [{ name: c, image: i, volumeMounts: [{ name: v, mountPath: /v }] }] }",
    says: /volumeMounts\[0\]\.name: Not found: "v"/,
  },
  {
    name: "a selector that does not fit",
    text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\nspec: { selector: { matchLabels: { a: b } }, template: { metadata: { labels: { a: c } }, spec: { containers: [{ name: c, image: i }] } } }",
    says: /`selector` does not match template `labels`/,
  },
  {
    name: "a bad quantity",
    text: "apiVersion: v1\nkind: Pod\nmetadata: { name: x }\nspec: { containers: [{ name: c, image: i, resources: { limits: { memory: lots } } }] }",
    says: /quantities must match the regular expression|unable to parse quantity|Invalid value: "lots"/,
  },
  { name: "what is not YAML", text: "a: [", says: /error converting YAML to JSON|error parsing/ },
  {
    name: "a kind that nobody knows",
    text: "apiVersion: v9\nkind: Nope\nmetadata: { name: x }",
    says: /no matches for kind "Nope" in version "v9"/,
  },
  {
    name: "a namespace that is not there",
    words: ["--namespace=nowhere"],
    text: map("data: { a: b }"),
    says: /namespaces "nowhere" not found/,
  },
] as { name: string; text: string; says: RegExp; words?: string[] }[])
  test(`a manifest with ${name} is refused`, { skip }, async () => {
    const { code, err } = await apply(text, ...words);
    assert.equal(code, 1);
    assert.match(err, says);
  });

test("hostile keys are data like any other, and are given back", { skip }, async () => {
  const data = JSON.parse(
    '{"__proto__":"p","constructor":"c","hasOwnProperty":"h","toString":"t"}',
  ) as Record<string, string>;
  const text = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"hostile","labels":{"constructor":"l"},"annotations":{"toString":"a","valueOf":"v"}},"data":${JSON.stringify(data)}}`;
  const read = async (): Promise<{
    data: object;
    metadata: { labels: object; annotations: Record<string, string> };
  }> => JSON.parse(await world.tell("bad", "get configmap hostile -o json")) as never;
  await world.tell("bad", "create -f -", { input: text });
  assert.deepEqual((await read()).data, data);
  assert.deepEqual((await read()).metadata.labels, { constructor: "l" });
  assert.equal((await read()).metadata.annotations["toString"], "a");
  for (const [type, patch] of [
    ["merge", '{"data":{"__proto__":"merged"}}'],
    ["strategic", '{"data":{"__proto__":"strategic"}}'],
    ["json", '[{"op":"replace","path":"/data/__proto__","value":"json"}]'],
  ] as const) {
    await world.tell("bad", ["patch", "configmap", "hostile", `--type=${type}`, "-p", patch]);
    assert.equal(
      Object.entries((await read()).data).find(([key]) => key === "__proto__")?.[1],
      type === "merge" ? "merged" : type,
    );
  }
  assert.equal((await apply(text, "--server-side", "--force-conflicts")).code, 0);
  assert.deepEqual((await read()).data, data);
  await world.tell(
    "bad",
    "run envy --image=cortado.local/order:1 --restart=Never --env=__proto__=p --env=constructor=c --command -- env",
  );
  await world.tell("bad", "wait --for=jsonpath={.status.phase}=Succeeded pod/envy --timeout=20s");
  assert.match(
    await world.tell("bad", "logs envy"),
    /^__proto__=p$[^]*^constructor=c$|^constructor=c$[^]*^__proto__=p$/m,
  );
});

test("bodies that are no objects, too large or too deep get their code", { skip }, async () => {
  await using proxy = world.running("bad", "proxy --port=0");
  const [, port] = await until("the proxy", () => /127\.0\.0\.1:(\d+)/.exec(proxy.said), 5_000);
  const post = async (
    body: string,
    type = "application/json",
    query = "",
  ): Promise<{ status: number; message: string }> => {
    const url = `http://127.0.0.1:${port}/api/v1/namespaces/bad/configmaps${query}`;
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: { "content-type": type },
      signal: AbortSignal.timeout(20_000),
    });
    return { status: response.status, message: ((await response.json()) as { message: string }).message };
  };
  const sized = (bytes: number): string =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "big" },
      data: { a: "x".repeat(bytes) },
    });
  assert.deepEqual(await post(sized(10 << 20)), {
    status: 413,
    message: "Request entity too large: limit is 3145728",
  });
  const stored = await post(sized(2 << 20));
  assert.equal(stored.status, 413);
  assert.match(stored.message, /"big" has \d+ bytes, which is over the limit of 1572864/);
  assert.equal((await post("{")).status, 400);
  assert.equal((await post("x", "text/plain")).status, 415);
  assert.equal((await post('{"a":'.repeat(100_000))).status, 400);
  assert.equal((await post(`${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`)).status, 400);
  assert.match(
    (
      await post(
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"},"data":{"a":"1","a":"2"}}',
        "application/json",
        "?fieldValidation=Strict",
      )
    ).message,
    /duplicate field "data\.a"/,
  );
});

test(
  "functions that never answer, die, throw, do not load or eat all memory harm only their caller",
  { skip },
  async () => {
    await world.tell("openfaas-fn", [
      "apply",
      "-f",
      join(import.meta.dirname, "manifests", "bad-functions.yaml"),
    ]);
    const invoke = (name: string): ReturnType<typeof call> =>
      call(`${world.store.gateway}/function/${name}`, "hello");
    await until("the functions", async () => (await invoke("throws")).status === 500, 20_000);
    const slow = ["never", "waits"].map((name) => invoke(name));
    for (let at = 0; at < 10; at += 1) {
      const startMs = performance.now();
      assert.match(
        (await call(`${world.store.gateway}/function/temperature-check`, 97.4)).text,
        /^Warning/,
        "others go on meanwhile",
      );
      assert.ok(performance.now() - startMs < 1_500);
    }
    for (const { status, text } of await Promise.all(slow)) {
      assert.equal(status, 504);
      assert.match(text, /did not answer within 2000 ms and was killed/);
    }
    for (const [name, status, says] of [
      ["dies", 502, /ended while it was needed \(exit code 3\)/],
      ["throws", 500, /Error: no/],
      ["broken", 503, /cannot be loaded: [^]*SyntaxError/],
      ["hog", 502, /more memory than its limit/],
    ] as const) {
      const reply = await until(
        name,
        async () => {
          const found = await invoke(name);
          return found.status === status ? found : undefined;
        },
        10_000,
      );
      assert.match(reply.text, says);
    }
  },
);

/** Sends bytes to the broker; resolves with what it answered once it has closed the connection. */
function sendRaw(
  bytes: Uint8Array,
  withinMs: number,
): Promise<{ readonly closed: boolean; readonly answer: Buffer }> {
  const { port } = new URL(world.store.mqtt);
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(bytes));
    const limit = setTimeout(() => settle(false), withinMs);
    const settle = (closed: boolean): void => {
      clearTimeout(limit);
      socket.destroy();
      resolve({ closed, answer: Buffer.concat(pieces) });
    };
    socket.on("data", (piece: Buffer) => pieces.push(piece));
    socket.on("error", () => settle(true));
    socket.on("close", () => settle(true));
    socket.on("end", () => settle(true));
  });
}

const hello = Buffer.from("100f00044d5154540402003c0003626164", "hex");
for (const { name, bytes } of [
  { name: "another protocol", bytes: Buffer.from(`GET /${"x".repeat(100)} HTTP/1.1\r\nHost: x\r\n\r\n`) },
  { name: "a publish before its connect", bytes: Buffer.from("300400016161", "hex") },
  { name: "a length of five bytes", bytes: Buffer.from("10ffffffffff", "hex") },
  { name: "a wrong protocol name", bytes: Buffer.from("100c00044d5158540402003c0000", "hex") },
  { name: "reserved flags", bytes: Buffer.from("1f0c00044d5154540402003c0000", "hex") },
  {
    name: "a publish to a wildcard",
    bytes: Buffer.concat([hello, Buffer.from("3007000361232f6869", "hex")]),
  },
  { name: "a topic that is not UTF-8", bytes: Buffer.concat([hello, Buffer.from("30050002c32869", "hex")]) },
  { name: "a QoS of three", bytes: Buffer.concat([hello, Buffer.from("36060001610001ff", "hex")]) },
  {
    name: "a filter with # inside",
    bytes: Buffer.concat([hello, Buffer.from("820a00010005612f232f6200", "hex")]),
  },
  { name: "a second connect", bytes: Buffer.concat([hello, hello]) },
])
  test(`malformed MQTT, ${name}: the connection is closed`, { skip }, async () => {
    const { closed } = await sendRaw(bytes, 8_000);
    assert.ok(closed);
  });

for (const { words, code, says } of [
  { words: ["nosuch"], code: 2, says: /unknown command 'nosuch'/ },
  { words: ["server", "--nosuch"], code: 2, says: /unknown option '--nosuch'/ },
  { words: ["server", "--config", "KEY"], code: 1, says: /data-dirr is not a setting of cortado server/ },
  {
    words: ["server", "--config", "NUMBER"],
    code: 1,
    says: /https-listen-port: "many" is not a whole number/,
  },
  { words: ["server", "--config", "/nosuch.yaml"], code: 1, says: /\/nosuch\.yaml cannot be read/ },
  {
    words: ["server", "--runtime", "vmware"],
    code: 1,
    says: /runtime: "vmware" is not known; use containerd or simulated/,
  },
  {
    words: ["server", "--disable", "everything"],
    code: 1,
    says: /there is no part everything; there are ingress/,
  },
  {
    words: ["demo", "kill", "nosuch", "--folder", "HERE"],
    code: 1,
    says: /there is no store "nosuch" in this demo; it has store-042/,
  },
  {
    words: ["demo", "kill", "store-042", "--folder", "/nosuch"],
    code: 1,
    says: /no demo has run in \/nosuch/,
  },
])
  test(`cortado ${words.join(" ")} says what is wrong`, { skip }, async () => {
    const files: Readonly<Record<string, string>> = {
      KEY: "data-dirr: /x\n",
      NUMBER: "https-listen-port: many\n",
    };
    const line = words.map((word) => {
      if (word === "HERE") return world.folder;
      const content = files[word];
      if (content === undefined) return word;
      const path = join(world.folder, `${word}.yaml`);
      writeFileSync(path, content);
      return path;
    });
    const ran = await run(process.execPath, [bundle, ...line], { timeoutMs: 20_000 });
    assert.equal(ran.code, code);
    assert.match(ran.err, says);
    assert.ok(ran.err.trim().split("\n").length <= 3, "a line or two, and no stack");
  });

test("nothing of it ended our process", { skip }, () => {
  const log = readFileSync(join(world.folder, "logs", "store-042.log"), "utf8");
  assert.equal(log.match(/"message":"store is up"/g)?.length, 1, "it started once");
});
