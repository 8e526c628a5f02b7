/**
 * The programs that run in the interpreters. Each waits on descriptor 3 for a handler, and then for calls, one at a time. They are
 * texts, as the interpreters see none of our files.
 */
export const pythonBootstrap: string = `
import io, json, os, socket, struct, sys, traceback, types, inspect, re, math, datetime, base64, hashlib, random, time
link = socket.socket(fileno=3)
def read(count):
    parts = []
    while count > 0:
        part = link.recv(min(count, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
def receive():
    head, body = struct.unpack(">II", read(8))
    return json.loads(read(head)), read(body)
def send(head, body=b""):
    text = json.dumps(head).encode()
    link.sendall(struct.pack(">II", len(text), len(body)) + text + body)
class Event:
    pass
class Context:
    hostname = "function"
def to_bytes(value):
    if value is None:
        return b"", None
    if isinstance(value, (bytes, bytearray)):
        return bytes(value), "application/octet-stream"
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape"), None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value).encode(), None
    return json.dumps(value).encode(), "application/json"
def answer_of(value):
    status, headers = 200, {}
    if isinstance(value, tuple) and len(value) in (2, 3) and isinstance(value[1], int):
        status = value[1]
        headers = dict(value[2]) if len(value) == 3 else {}
        value = value[0]
    elif isinstance(value, dict) and "statusCode" in value:
        status = int(value["statusCode"])
        headers = dict(value.get("headers") or {})
        value = value.get("body")
    body, kind = to_bytes(value)
    if kind is not None:
        headers.setdefault("content-type", kind)
    return status, {str(name): str(text) for name, text in headers.items()}, body
def load():
    head, body = receive()
    os.environ.clear()
    os.environ.update(head["env"])
    module = types.ModuleType("handler")
    module.__file__ = "handler.py"
    sys.modules["handler"] = module
    exec(compile(body.decode("utf-8"), "handler.py", "exec"), module.__dict__)
    handle = getattr(module, "handle", None)
    if not callable(handle):
        raise TypeError("handler.py defines no function handle(req)")
    wanted = [p for p in inspect.signature(handle).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return handle, len([p for p in wanted if p.default is p.empty]) >= 2
try:
    handle, takes_event = load()
except BaseException as error:
    lines = traceback.format_exception_only(type(error), error)
    send({"type": "failed", "message": "".join(lines).strip()})
    os._exit(1)
send({"type": "loaded"})
while True:
    head, body = receive()
    try:
        if takes_event:
            event = Event()
            event.body, event.headers, event.method = body, head["headers"], head["method"]
            event.query, event.path = head["query"], head["path"]
            value = handle(event, Context())
        else:
            value = handle(body.decode("utf-8", "surrogateescape"))
        status, headers, out = answer_of(value)
        sys.stdout.flush()
        send({"type": "answer", "id": head["id"], "status": status, "headers": headers}, out)
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        lines = traceback.format_exception_only(type(error), error)
        send({"type": "error", "id": head["id"], "message": "".join(lines).strip()[:2000]})
`;

export const nodeBootstrap: string = `
import { Socket } from "node:net";
const link = new Socket({ fd: 3 });
const waiting = []; let held = Buffer.alloc(0); let wake;
link.on("data", (chunk) => { held = Buffer.concat([held, chunk]); wake?.(); });
link.on("close", () => process.exit(0)); link.on("error", () => process.exit(0));
const receive = async () => {
  for (;;) {
    if (held.length >= 8) {
      const head = held.readUInt32BE(0), body = held.readUInt32BE(4), end = 8 + head + body;
      if (held.length >= end) {
        const frame = { head: JSON.parse(held.toString("utf8", 8, 8 + head)), body: Buffer.from(held.subarray(8 + head, end)) };
        held = held.subarray(end);
        return frame;
      }
    }
    await new Promise((resolve) => (wake = resolve));
  }
};
const send = (head, body = Buffer.alloc(0)) => new Promise((resolve) => {
  const text = Buffer.from(JSON.stringify(head)), prefix = Buffer.alloc(8);
  prefix.writeUInt32BE(text.length, 0); prefix.writeUInt32BE(body.length, 4);
  link.write(Buffer.concat([prefix, text, body]), resolve);
});
const describe = (error) => (error instanceof Error ? error.name + ": " + error.message : String(error)).slice(0, 2000);
const toBytes = (value) => {
  if (value === undefined || value === null) return [Buffer.alloc(0)];
  if (value instanceof Uint8Array) return [Buffer.from(value), "application/octet-stream"];
  if (typeof value === "object") return [Buffer.from(JSON.stringify(value)), "application/json"];
  return [Buffer.from(String(value))];
};
const answerOf = (value) => {
  let status = 200, headers = {};
  if (typeof value === "object" && value !== null && "statusCode" in value) {
    status = Number(value.statusCode); headers = { ...value.headers }; value = value.body;
  }
  const [body, kind] = toBytes(value);
  if (kind !== undefined && headers["content-type"] === undefined) headers["content-type"] = kind;
  return { status, headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, String(text)])), body };
};
let handle;
try {
  const { head, body } = await receive();
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, head.env);
  const loaded = await import("data:text/javascript;base64," + body.toString("base64"));
  handle = loaded.default ?? loaded.handle;
  if (typeof handle !== "function") throw new TypeError("handler.ts exports no function: export default or export named handle(req)");
  await send({ type: "loaded" });
} catch (error) {
  await send({ type: "failed", message: describe(error) });
  process.exit(1);
}
for (;;) {
  const { head, body } = await receive();
  try {
    const event = { body: body.toString(), headers: head.headers, method: head.method, query: head.query, path: head.path };
    const value = await (handle.length >= 2 ? handle(event, { hostname: "function" }) : handle(body.toString()));
    const answer = answerOf(value);
    await send({ type: "answer", id: head.id, status: answer.status, headers: answer.headers }, answer.body);
  } catch (error) {
    console.error(error);
    await send({ type: "error", id: head.id, message: describe(error) });
  }
}
`;

/** Reads TypeScript on standard input and writes JavaScript: run in a child that does nothing else. */
export const stripProgram: string = `
import { stripTypeScriptTypes } from "node:module";
let text = "";
for await (const part of process.stdin.setEncoding("utf8")) text += part;
try { process.stdout.write(stripTypeScriptTypes(text, { mode: "strip" })); }
catch (error) { process.stderr.write(String(error?.message ?? error)); process.exitCode = 1; }
`;
