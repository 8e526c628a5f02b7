import assert from "node:assert/strict";
import { X509Certificate, createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { freePorts } from "@cortado/demo/doors";
import { chromium, type Browser, type Page } from "playwright-core";
import { makeAuthority } from "./authority.ts";
import { startPaho, type PahoPage } from "./paho-page.ts";
import { barista, manager, names, Standalone } from "./standalone.ts";

// Paho's client and MQTT.js in Debian's Chromium, over WebSocket, at `cortado mqtt` as a process.
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  (path) => existsSync(path),
);
const skip =
  executablePath === undefined
    ? "needs Chromium: apt-get install chromium"
    : existsSync("/usr/bin/mosquitto_pub")
      ? false
      : "mosquitto-clients is not installed";
const scriptOf = (path: string): string => readFileSync(createRequire(import.meta.url).resolve(path), "utf8");

let broker: Standalone;
let browser: Browser;
let [plain, web, secure]: readonly number[] = [];
const me = { user: "barista", password: "espresso" };

before(async () => {
  if (skip !== false || executablePath === undefined) return;
  [plain, web, secure] = await freePorts(3);
  broker = new Standalone([]);
  broker.write("passwords", barista, manager);
  await makeAuthority(broker.folder, {});
  broker.write(
    "mqtt.yaml",
    `folder: ${broker.at("data")}`,
    `passwordFile: ${broker.at("passwords")}`,
    "listeners:",
    `  - { port: ${plain}, address: 127.0.0.1 }`,
    `  - { port: ${web}, address: 127.0.0.1, protocol: websockets }`,
    `  - port: ${secure}`,
    "    address: 127.0.0.1",
    "    protocol: websockets",
    `    tls: { certFile: ${broker.at("chain.pem")}, keyFile: ${broker.at("server.key")} }`,
  );
  await broker.start();
  browser = await chromium.launch({ executablePath, args: flags() });
});
after(async () => {
  await browser?.close();
  await broker?.[Symbol.asyncDispose]();
});

/** Nobody has installed this authority: Chromium is told of its key, as a policy of the machine would. */
function flags(): string[] {
  const { publicKey } = new X509Certificate(readFileSync(broker.at("ca.pem")));
  const print = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" }));
  return [
    ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
    ...["--disable-background-networking", "--disable-component-update"],
    `--ignore-certificate-errors-spki-list=${print.digest("base64")}`,
  ];
}

/** A page of the broker's own port, with the clients' scripts in it. */
async function open(): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${web}/`); // 426 in words, and the origin
  await page.addScriptTag({ content: scriptOf("paho-mqtt/paho-mqtt.js") });
  return page;
}

/** Paho's client in a page of its own, connected. */
async function paho(
  clientId: string,
  options: Parameters<typeof startPaho>[1]["connect"] = {},
): Promise<PahoPage> {
  const connect = { userName: me.user, password: me.password, mqttVersion: 4, ...options };
  return await startPaho(await open(), { url: `ws://127.0.0.1:${web}/mqtt`, clientId, connect });
}

test("QoS 0, 1 and 2 to a page and from it, what is retained, and 300 KB", { skip }, async () => {
  const kiosk = await paho("kiosk");
  for (const qos of [0, 1, 2] as const)
    assert.equal(await kiosk.subscribe(`/store104/${qos}/#`, qos), qos, "granted");
  const till = await paho("till");
  for (const qos of [0, 1, 2] as const)
    await till.publish({ topic: `/store104/${qos}/order`, payload: `latte ${qos}`, qos });
  const came = (await kiosk.received(3)).toSorted((one, other) => one.qos - other.qos);
  assert.deepEqual(
    came.map(({ topic, text, qos, duplicate }) => [topic, text, qos, duplicate]),
    [0, 1, 2].map((qos) => [`/store104/${qos}/order`, `latte ${qos}`, qos, false]),
  );
  await till.publish({ topic: "/store104/menu", payload: "latte, tea", qos: 1, retained: true });
  const late = await paho("late");
  await late.subscribe("/+/menu", 1);
  const [menu] = await late.received(1);
  assert.deepEqual([menu?.text, menu?.retained], ["latte, tea", true]);

  const { digest } = await till.publishBytes({ topic: "/store104/2/picture", bytes: 300 * 1_024, qos: 2 });
  const picture = (await kiosk.received(4))[3];
  assert.deepEqual([picture?.bytes, picture?.digest], [300 * 1_024, digest], "byte for byte");
  // And from elsewhere.
  await broker.pub(plain ?? 0, ...names(me.user, me.password), "-q", "2", "-t", "/store104/2/x", "-m", "y");
  assert.equal((await kiosk.received(5))[4]?.text, "y");
  assert.deepEqual(await kiosk.lost(), []);
});

test("a wrong password, and no name, are refused and said so", { skip }, async () => {
  for (const options of [{ password: "ristretto" }, { userName: "nobody" }])
    await assert.rejects(paho("intruder", options), /bad user name or password/);
  const page = await open();
  const nameless = { url: `ws://127.0.0.1:${web}/mqtt`, clientId: "intruder", connect: { mqttVersion: 4 } };
  await assert.rejects(startPaho(page, nameless), /not authorized/);
});

test("MQTT 3.1, which Paho falls back to, over the sub-protocol of its time", { skip }, async () => {
  const old = await paho("old", { mqttVersion: 3 });
  await old.subscribe("old/#", 1);
  await old.publish({ topic: "old/a", payload: "x", qos: 1 });
  assert.equal((await old.received(1))[0]?.text, "x");
});

test("a page that is closed has its will published; one that says goodbye has not", { skip }, async () => {
  const watcher = await paho("watcher");
  await watcher.subscribe("gone/#", 1);
  for (const name of ["polite", "closed"]) {
    const will = { topic: `gone/${name}`, payload: "it went", qos: 1, retained: false };
    const one = await paho(name, { will });
    if (name === "polite") await one.disconnect();
    await one.page.close();
  }
  const [first] = await watcher.received(1);
  assert.deepEqual([first?.topic, first?.text], ["gone/closed", "it went"]);
});

test("a session goes on: what came meanwhile, over a kill -9 of the broker too", { skip }, async () => {
  const kept = { cleanSession: false };
  const first = await paho("screen", kept);
  await first.subscribe("orders/#", 2);
  await first.disconnect();
  const till = await paho("till-2", { reconnect: true });
  for (const number of [1, 2, 3])
    await till.publish({ topic: "orders/new", payload: String(number), qos: 1 });
  await broker.end("SIGKILL");
  await till.disconnected();
  await broker.start();
  await till.reconnected();
  await till.publish({ topic: "orders/new", payload: "4", qos: 2 });
  const again = await paho("screen", kept);
  assert.deepEqual(
    (await again.received(4)).map(({ text }) => text),
    ["1", "2", "3", "4"],
  );
  await again.disconnect();
});

test("wss: by an authority that the browser was told of, and not without", { skip }, async () => {
  const url = `wss://127.0.0.1:${secure}/mqtt`;
  const connect = { userName: me.user, password: me.password, mqttVersion: 4 };
  const safe = await startPaho(await open(), { url, clientId: "safe", connect });
  await safe.subscribe("safe/#", 1);
  await safe.publish({ topic: "safe/a", payload: "x", qos: 1 });
  assert.equal((await safe.received(1))[0]?.text, "x");
  const args = flags().filter((flag) => !flag.startsWith("--ignore-certificate"));
  const other = await chromium.launch({ executablePath: executablePath ?? "", args });
  try {
    const page = await other.newPage();
    await page.goto(`http://127.0.0.1:${web}/`);
    await page.addScriptTag({ content: scriptOf("paho-mqtt/paho-mqtt.js") });
    await assert.rejects(startPaho(page, { url, clientId: "wary", connect }), /AMQJS000[78]/);
  } finally {
    await other.close();
  }
});

test(
  "MQTT.js in a page speaks MQTT 5: properties, a share, a reason for what is refused",
  { skip },
  async () => {
    const page = await open();
    await page.addScriptTag({ content: scriptOf("mqtt/dist/mqtt.min") });
    const got = await page.evaluate(mqttJs, { url: `ws://127.0.0.1:${web}/mqtt`, ...me });
    assert.deepEqual(got, {
      content: "text/plain",
      shop: "104",
      payload: "latte",
      refusal: 0x86,
    });
  },
);

type MqttJs = {
  readonly mqtt: {
    connectAsync(url: string, options: object): Promise<MqttJsClient>;
  };
};
type MqttJsClient = {
  subscribeAsync(topic: string, options: object): Promise<unknown>;
  publishAsync(topic: string, payload: string, options: object): Promise<unknown>;
  endAsync(): Promise<void>;
  on(
    event: "message",
    then: (
      topic: string,
      payload: Uint8Array,
      packet: {
        readonly properties?: {
          readonly contentType?: string;
          readonly userProperties?: Record<string, string>;
        };
      },
    ) => void,
  ): void;
};

/** Runs in the page. */
async function mqttJs(where: { readonly url: string; readonly user: string; readonly password: string }) {
  const { mqtt } = globalThis as unknown as MqttJs;
  const options = { protocolVersion: 5, username: where.user, reconnectPeriod: 0 };
  const client = await mqtt.connectAsync(where.url, { ...options, password: where.password });
  const came = new Promise<{ content: string; shop: string; payload: string }>((resolve) =>
    client.on("message", (_topic, payload, { properties = {} }) =>
      resolve({
        content: properties.contentType ?? "",
        shop: properties.userProperties?.["shop"] ?? "",
        payload: new TextDecoder().decode(payload),
      }),
    ),
  );
  await client.subscribeAsync("$share/screens/js/#", { qos: 2 });
  const properties = { contentType: "text/plain", userProperties: { shop: "104" } };
  await client.publishAsync("js/order", "latte", { qos: 2, properties });
  const message = await came;
  await client.endAsync();
  const refusal = await mqtt.connectAsync(where.url, { ...options, password: "wrong" }).then(
    () => 0,
    (error: unknown) => (error as { readonly code: number }).code,
  );
  return { ...message, refusal };
}
