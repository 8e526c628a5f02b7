import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocket } from "ws";
import * as make from "./bytes.ts";
import { Inapplicable, type Trial } from "./trial.ts";

function urlOf({ target }: Trial): string {
  if (target.webSocket === undefined) throw new Inapplicable("no WebSocket address was given");
  return target.webSocket;
}

async function open(trial: Trial): Promise<WebSocket> {
  const socket = new WebSocket(urlOf(trial), ["mqtt"]);
  await once(socket, "open");
  return socket;
}

const packetOf = (trial: Trial): Uint8Array => make.connect({ level: trial.level, clientId: trial.id() });

export async function binaryOnly(trial: Trial): Promise<void> {
  const socket = await open(trial);
  const closed = once(socket, "close");
  socket.send(Buffer.from(packetOf(trial)).toString("latin1"), { binary: false });
  await closed;
}

export async function packetsInPieces(trial: Trial): Promise<void> {
  const socket = await open(trial);
  const data = make.bytes(packetOf(trial), make.ping);
  const said: number[] = [];
  socket.on("message", (chunk: Buffer) => void said.push(...chunk));
  for (const byte of data.subarray(0, 9)) socket.send(Uint8Array.of(byte));
  socket.send(data.subarray(9));
  for (const end = performance.now() + 5_000; !said.includes(0xd0) && performance.now() < end;)
    await once(socket, "message");
  assert.equal(said[0], 0x20);
  assert.deepEqual(said.slice(-2), [0xd0, 0]);
  socket.terminate();
}

export async function namesItsProtocol(trial: Trial): Promise<void> {
  const socket = await open(trial);
  assert.equal(socket.protocol, "mqtt");
  socket.terminate();
}
