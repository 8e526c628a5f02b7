import { connect, createServer } from "node:net";
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { StatusError } from "@cortado/std/status";

/** How long whoever holds the machine may take to say its name. */
const ANSWER_MS = 2_000;

/**
 * Says that this process is the machine's node, for as long as it lives. Two would take each other's containers for orphans and end them:
 * they share one containerd. @throws StatusError "Conflict" that names the other
 */
export async function holdMachine({
  path,
  who,
}: {
  /** A Unix socket, which a killed process leaves behind and nobody answers. */
  readonly path: string;
  readonly who: string;
}): Promise<AsyncDisposable> {
  const other = await holderOf(path);
  if (other !== undefined)
    throw new StatusError(
      "Conflict",
      `this machine is a node already: ${other}; end that one first, or use another machine`,
    );
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  await rm(path, { force: true });
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end(who);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  server.unref();
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())) };
}

function holderOf(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(path);
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on("data", (bytes) => (said += bytes.toString("utf8")));
    let isThere = false;
    socket.on("connect", () => (isThere = true));
    socket.on("error", () => undefined); // nobody listens, or nothing is there
    socket.on("close", () => resolve(isThere ? said || "a process that does not say its name" : undefined));
  });
}
