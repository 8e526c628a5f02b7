import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openHubDoor } from "@cortado/fleet/agent/node/hub-door";
import { machineKeys } from "@cortado/fleet/agent/node/keys";
import type { Trust } from "@cortado/fleet/agent/ports";
import type { AgentLink, FromHub } from "@cortado/fleet/protocol";
import { decodeFrame } from "@cortado/fleet/protocol/frames";
import { createHash } from "node:crypto";
import { until } from "../end-to-end/demo-world.ts";
import { HubProcesses } from "../end-to-end/hub-processes.ts";

// Who is not let in: against a hub process, over TLS and WebSocket, with the keys of stores in our hands.
let hub: HubProcesses;
let trust: Trust;
let secret = "";
const { signal } = new AbortController();

type Store = { readonly name: string; readonly privateKey: string; readonly certificate: string };

const door = (): ReturnType<typeof openHubDoor> => openHubDoor({ url: hub.url });
const sha256 = (text: string | Uint8Array): string => createHash("sha256").update(text).digest("hex");

async function register(
  name: string,
  token = secret,
  privateKey = machineKeys.make().privateKey,
): Promise<Store> {
  const { certificate } = await door().register(
    {
      token,
      clientId: `id-of-${name}`,
      name,
      labels: { store: name },
      publicKey: machineKeys.publicOf(privateKey),
      proof: machineKeys.sign(privateKey, `register\nid-of-${name}\n${sha256(token)}`),
    },
    trust,
  );
  return { name, privateKey, certificate };
}

const hello = (session: string) =>
  ({
    type: "hello",
    protocol: 1,
    session,
    after: 0,
    has: {},
    versions: { agent: "test", kubernetes: "v1" },
  }) as const;

/** A connection of a store, and what the hub said over it. */
class Line implements AsyncDisposable {
  readonly heard: (FromHub | Uint8Array)[] = [];
  readonly #link: AgentLink;

  private constructor(link: AgentLink) {
    this.#link = link;
    void (async () => {
      for await (const message of link.messages()) this.heard.push(message);
    })();
  }

  static async open(store: Store, session: string): Promise<Line> {
    const line = new Line(await door().dial(store, trust));
    await line.send(hello(session));
    return line;
  }

  async send(message: Parameters<AgentLink["send"]>[0]): Promise<void> {
    await this.#link.send(message);
  }

  said<Type extends FromHub["type"]>(type: Type): Promise<Extract<FromHub, { type: Type }>> {
    return until(
      `${type}, not ${JSON.stringify(this.heard)}`,
      () =>
        Promise.resolve(
          this.heard.find((one) => !(one instanceof Uint8Array) && one.type === type) as
            | Extract<FromHub, { type: Type }>
            | undefined,
        ),
      10_000,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }
}

type Audit = {
  readonly event: string;
  readonly cluster: string;
  readonly reason: string;
  readonly why: string;
};

const audits = (): readonly Audit[] =>
  hub
    .log("hub")
    .split("\n")
    .filter((line) => line.includes('"message":"audit"'))
    .map((line) => JSON.parse(line) as Audit);

/** What the audit log has: events of audit.k8s.io. */
const trail = (): readonly Trailed[] =>
  readFileSync(join(hub.folder, "hub", "audit.log"), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Trailed);

type Trailed = {
  readonly responseStatus: { readonly code: number; readonly reason?: string };
  readonly annotations: Readonly<Record<string, string>>;
};

/** Does it, and the hub notes exactly one refusal: this one. */
async function audited(
  wanted: Partial<Omit<Audit, "why">> & { readonly why: RegExp },
  act: () => Promise<void>,
): Promise<void> {
  const before = audits().length;
  const trailed = trail().length;
  await act();
  const lines = await until(
    "an audit line",
    () => Promise.resolve(audits().length > before ? audits().slice(before) : undefined),
    10_000,
  );
  assert.equal(lines.length, 1, JSON.stringify(lines));
  const [line] = lines;
  const { why, ...same } = wanted;
  assert.match(line?.why ?? "", why);
  for (const [field, value] of Object.entries(same)) assert.equal(line?.[field as keyof Audit], value, field);
  const kept = await until(
    "an event in the audit log",
    () => Promise.resolve(trail().length > trailed ? trail().slice(trailed) : undefined),
    10_000,
  );
  assert.deepEqual(
    kept.map(({ annotations, responseStatus }) => [annotations["cortado.dev/event"], responseStatus.reason]),
    [[line?.event, line?.reason]],
  );
  assert.ok((kept[0]?.responseStatus.code ?? 0) >= 400);
}

const bundle = (name: string, store: string): string => `apiVersion: fleet.cattle.io/v1alpha1
kind: Bundle
metadata: { name: ${name}, namespace: fleet-default }
spec:
  targets: [{ clusterSelector: { matchLabels: { store: ${store} } } }]
  resources: [{ name: s.yaml, content: "{apiVersion: v1, kind: Secret, metadata: {name: ${name}}, stringData: {word: hidden-${name}}}" }]
`;

before(async () => {
  hub = await HubProcesses.start();
  secret = (await hub.token()).replace(/^K10[0-9a-f]{64}::fleet:/, "");
  trust = { authority: await door().readAuthority({ signal }), signal };
});

after(async () => {
  await hub[Symbol.asyncDispose]();
});

test("a token that is none, and a name or a key that is another's, register nobody", async () => {
  const rogue = { event: "registration refused" };
  await audited(
    { ...rogue, cluster: "/store-x", reason: "Unauthorized", why: /token is not one of this hub/ },
    async () => {
      await assert.rejects(register("store-x", "f".repeat(64)), { reason: "Unauthorized" });
    },
  );
  await register("taken");
  await audited({ ...rogue, cluster: "/taken", reason: "Conflict", why: /has another key/ }, async () => {
    await assert.rejects(register("taken"), { reason: "Conflict" });
  });
  const clusters = await hub.told(
    "hub",
    "get",
    "clusters.fleet.cattle.io",
    "-n",
    "fleet-default",
    "-o",
    "name",
  );
  assert.equal(clusters.trim(), "cluster.fleet.cattle.io/taken");
});

test("a store gets what is for it, and neither another's content nor what is damaged at the hub", async () => {
  const [one, two] = [await register("one"), await register("two")];
  await hub.apply("hub", bundle("for-two", "two"));
  await using line = await Line.open(two, "");
  const desired = await line.said("desired");
  const [chunk] = (
    await until(
      "its bundle",
      () =>
        Promise.resolve(
          desired.bundles[0] ??
            line.heard.flatMap((said) =>
              said instanceof Uint8Array || said.type !== "desired" ? [] : said.bundles,
            )[0],
        ),
      20_000,
    )
  ).chunks;
  assert.ok(chunk !== undefined);
  const bytes = await until(
    "its content",
    () => Promise.resolve(line.heard.find((said) => said instanceof Uint8Array)),
    10_000,
  );
  const frame = decodeFrame(bytes as Uint8Array);
  assert.equal(frame.kind === "chunk" && frame.sha256, chunk.sha256);

  await using other = await Line.open(one, "");
  await other.said("welcome");
  await audited(
    {
      event: "content refused",
      cluster: "fleet-default/one",
      reason: "Forbidden",
      why: new RegExp(chunk.sha256),
    },
    async () => {
      await other.send({ type: "want", chunks: [chunk.sha256] });
      assert.match((await other.said("noChunk")).message, /not of a bundle that is for this store/);
    },
  );
  assert.ok(
    other.heard.every((said) => !(said instanceof Uint8Array)),
    "no content came",
  );

  // The hub gives no bytes whose SHA-256 is not the one that is named.
  const folder = join(hub.folder, "hub", "fleet", "chunks");
  const known = new Set(readdirSync(folder));
  await hub.apply("hub", bundle("for-one", "one"));
  const fresh = await until(
    "its object on the hub's disk",
    () =>
      Promise.resolve(
        readdirSync(folder).find(
          (name) =>
            !known.has(name) &&
            readFileSync(join(folder, name), "utf8").includes('"stringData"') &&
            readFileSync(join(folder, name), "utf8").startsWith('{"apiVersion":"v1"'),
        ),
      ),
    20_000,
  );
  await other[Symbol.asyncDispose]();
  await hub.end("hub", "SIGKILL");
  writeFileSync(join(folder, fresh), '{"apiVersion":"v1","kind":"Secret"}');
  hub.startHub();
  await hub.answers("hub");
  const { session } = await other.said("welcome");
  await using again = await Line.open(one, session);
  const none = await again.said("noChunk");
  assert.equal(none.sha256, fresh);
  assert.match(none.message, /damaged on disk/);
});

test("a status that was sent already is refused; so is a copy of the store, and the Cluster says so", async () => {
  const store = await register("three");
  const first = await Line.open(store, "");
  const { session } = await first.said("welcome");
  await first.send({ type: "status", sequence: 7, bundles: [] });
  await first.said("statusAck");
  await audited(
    {
      event: "connection refused",
      cluster: "fleet-default/three",
      reason: "Conflict",
      why: /status 7 is not newer than 7/,
    },
    async () => {
      await first.send({ type: "status", sequence: 7, bundles: [] });
      assert.equal((await first.said("refusal")).reason, "Conflict");
    },
  );
  await using second = await Line.open(store, session);
  await second.said("welcome");
  await audited(
    {
      event: "connection refused",
      cluster: "fleet-default/three",
      reason: "Conflict",
      why: /session word that is out of date: it is a copy/,
    },
    async () => {
      await using copy = await Line.open(store, "");
      assert.equal((await copy.said("refusal")).reason, "Conflict");
    },
  );
  const path = "jsonpath={.status.conditions[?(@.type=='Copied')].status}";
  assert.equal(
    await hub.told("hub", "get", "clusters.fleet.cattle.io", "three", "-n", "fleet-default", "-o", path),
    "True",
  );
});

/** A certificate of the hub's own authority that ended yesterday, as a store has one after a year in the dark. */
function expired({ name, privateKey }: Store): string {
  const tls = join(hub.folder, "hub", "server", "tls");
  const openssl = (...words: readonly string[]): void =>
    void execFileSync("openssl", words, { cwd: hub.folder, stdio: "pipe", timeout: 20_000 });
  writeFileSync(join(hub.folder, "old.key"), privateKey);
  const subject = `/O=cortado:stores/CN=fleet-default\\/${name}`;
  openssl("req", "-new", "-key", "old.key", "-subj", subject, "-out", "old.csr");
  const settings =
    "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\nunique_subject=no\nrand_serial=yes\n[p]\norganizationName=supplied\ncommonName=supplied\n";
  writeFileSync(join(hub.folder, "settings"), settings);
  writeFileSync(join(hub.folder, "index"), "");
  writeFileSync(join(hub.folder, "ext"), "extendedKeyUsage=clientAuth\n");
  const signer = [
    "-cert",
    join(tls, "client-ca.crt"),
    "-keyfile",
    join(tls, "client-ca.key"),
    "-extfile",
    "ext",
  ];
  const dates = ["-startdate", "20240101000000Z", "-enddate", "20250101000000Z"];
  openssl(
    "ca",
    "-batch",
    "-config",
    "settings",
    "-in",
    "old.csr",
    "-out",
    "old.crt",
    "-notext",
    ...signer,
    ...dates,
  );
  return readFileSync(join(hub.folder, "old.crt"), "utf8");
}

/** What the hub's API answers to who shows a certificate. */
function statusOf(path: string, { certificate, privateKey }: Store): Promise<number> {
  return new Promise((resolve, reject) => {
    const url = new URL(path, hub.url);
    const asked = request(
      url,
      { cert: certificate, key: privateKey, ca: trust.authority, agent: false },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      },
    );
    asked.once("error", reject);
    asked.end();
  });
}

test("a certificate that has ended opens the renewal door alone, for who proves the key; a revoked store not even that", async () => {
  const store = await register("four");
  const old: Store = { ...store, certificate: expired(store) };
  await audited(
    {
      event: "connection refused",
      cluster: "fleet-default/four",
      reason: "Unauthorized",
      why: /certificate of cluster fleet-default\/four has ended; renew it/,
    },
    async () => {
      await using line = await Line.open(old, "");
      assert.equal((await line.said("refusal")).reason, "Unauthorized");
    },
  );
  for (const path of [
    "/api/v1/secrets",
    "/apis/fleet.cattle.io/v1alpha1/clusters",
    "/git/coffee-shop.git/info/refs",
  ]) {
    const code = await statusOf(path, old);
    assert.ok(code === 401 || code === 403, `${path} answers ${code} to a certificate that has ended`);
    const own = await statusOf(path, store);
    assert.ok(own === 401 || own === 403, `${path} answers ${own} to a store's certificate`);
  }
  const cluster = { namespace: "fleet-default", name: "four" };
  const renew = async (key: string, of = cluster): Promise<string> => {
    const challenge = await door().challenge(trust);
    const proof = machineKeys.sign(key, `renew\n${of.namespace}/${of.name}\n${challenge}`);
    return (await door().renew({ cluster: of, challenge, proof }, trust)).certificate;
  };
  const refusal = { event: "renewal refused", cluster: "fleet-default/four", reason: "Forbidden" };
  await audited({ ...refusal, why: /the proof is not that of cluster fleet-default\/four/ }, async () => {
    await assert.rejects(renew(machineKeys.make().privateKey), { reason: "Forbidden" });
  });
  const challenge = await door().challenge(trust);
  const proof = machineKeys.sign(store.privateKey, `renew\nfleet-default/four\n${challenge}`);
  await door().renew({ cluster, challenge, proof }, trust);
  await audited(
    { ...refusal, reason: "Unauthorized", why: /the challenge is not one of this hub, or is too old/ },
    async () => {
      await assert.rejects(door().renew({ cluster, challenge, proof }, trust), { reason: "Unauthorized" });
    },
  );
  const fresh: Store = { ...store, certificate: await renew(store.privateKey) };
  const line = await Line.open(fresh, "");
  await line.said("welcome");

  await audited(
    { event: "connection refused", cluster: "fleet-default/four", why: /was revoked/ },
    async () => {
      const mark = "fleet.cortado.dev/revoked=true";
      await hub.told("hub", "annotate", "clusters.fleet.cattle.io", "four", "-n", "fleet-default", mark);
      assert.equal((await line.said("refusal")).reason, "Forbidden", "it is thrown out at once");
      await using next = await Line.open(fresh, "");
      assert.match((await next.said("refusal")).message, /was revoked/);
    },
  );
  await audited({ ...refusal, why: /Cluster fleet-default\/four was revoked/ }, async () => {
    await assert.rejects(renew(store.privateKey), {
      reason: "Forbidden",
      message: /was revoked; ask who runs the hub/,
    });
  });
  await audited(
    { event: "registration refused", cluster: "/four", reason: "Forbidden", why: /was revoked/ },
    async () => {
      await assert.rejects(register("four", secret, store.privateKey), { reason: "Forbidden" });
    },
  );
});

test("who shows no certificate, or one of another authority, opens no connection", async () => {
  const upgrade = (options: object): Promise<number> =>
    new Promise((resolve, reject) => {
      const headers = {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
      };
      const asked = request(
        new URL("/fleet/v1/connect", hub.url),
        { ca: trust.authority, headers, agent: false, ...options },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        },
      );
      asked.once("upgrade", () => resolve(101));
      asked.once("error", reject);
      asked.end();
    });
  await audited(
    {
      event: "connection refused",
      reason: "Unauthorized",
      why: /a store shows its certificate; register it first/,
    },
    async () => {
      assert.equal(await upgrade({}), 401);
    },
  );
  const { privateKey } = machineKeys.make();
  writeFileSync(join(hub.folder, "own.key"), privateKey);
  const words = [
    "req",
    "-x509",
    "-key",
    "own.key",
    "-subj",
    "/O=cortado:stores/CN=fleet-default\\/one",
    "-days",
    "2",
    "-out",
    "own.crt",
  ];
  execFileSync("openssl", words, { cwd: hub.folder, stdio: "pipe" });
  await audited(
    { event: "connection refused", reason: "Unauthorized", why: /not of this hub's authority/ },
    async () => {
      assert.equal(await upgrade({ cert: readFileSync(join(hub.folder, "own.crt")), key: privateKey }), 401);
    },
  );
});
