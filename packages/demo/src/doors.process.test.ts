import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { hasReason } from "@cortado/std/status";
import { askDemo, serveControl } from "./control.ts";
import { freePorts, openDoor } from "./doors.ts";
import { readState, replaceFile } from "./state.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cdoor-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function talk(port: number, words: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    let heard = "";
    socket.setEncoding("utf8");
    socket.on("data", (part: string) => (heard += part));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(heard));
    socket.end(words);
  });
}

function echo(path: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket));
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

test("a door copies both ways and lets half-closed connections finish", async () => {
  const [port = 0] = await freePorts(1);
  const socket = join(folder, "echo.sock");
  const server = await echo(socket);
  await using _door = await openDoor({ port, socket });
  assert.equal(await talk(port, "x".repeat(300_000)), "x".repeat(300_000));
  server.close();
});

test("while nobody answers behind it a door closes at once, and opens again with the next one", async () => {
  const [port = 0] = await freePorts(1);
  const socket = join(folder, "echo.sock");
  await using _door = await openDoor({ port, socket });
  assert.equal(await talk(port, "anybody?"), "");
  const server = await echo(socket);
  assert.equal(await talk(port, "now"), "now");
  server.close();
});

test("a port in use is told by its number, with what to do", async () => {
  const [port = 0] = await freePorts(1);
  await using _first = await openDoor({ port, socket: join(folder, "a.sock") });
  await assert.rejects(
    openDoor({ port, socket: join(folder, "b.sock") }),
    (error) => hasReason(error, "Conflict") && error.message.includes(String(port)),
  );
});

test("the control socket carries an action and its refusal", async () => {
  const path = join(folder, "control.sock");
  const asked: string[] = [];
  await using _control = await serveControl(path, (action, store) => {
    asked.push(`${action} ${store}`);
    return store === "store-042" ? Promise.resolve() : Promise.reject(new Error(`no ${store}`));
  });
  await askDemo(path, "unplug", "store-042");
  await assert.rejects(askDemo(path, "kill", "nobody"), /no nobody/);
  await askDemo(path, "ping");
  assert.deepEqual(asked, ["unplug store-042", "kill nobody"]);
});

test("asking a demo that does not run says how to start one", async () => {
  await assert.rejects(
    askDemo(join(folder, "none.sock"), "boot", "store-042"),
    (error) => hasReason(error, "NotFound") && /npm start/.test(error.message),
  );
});

test("state is replaced whole and readable by its owner only; what cannot be read is said", async () => {
  assert.equal(await readState(folder), undefined);
  const path = join(folder, "state.json");
  await replaceFile(path, { format: 1, id: "abc", ports: {}, uplinks: {}, processes: [] });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await readState(folder))?.id, "abc");
  assert.equal(JSON.parse(await readFile(path, "utf8")).id, "abc");
  await writeFile(path, "{");
  await assert.rejects(
    readState(folder),
    (error) => hasReason(error, "ServiceUnavailable") && /--fresh/.test(error.message),
  );
});
