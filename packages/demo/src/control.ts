import { createServer, request } from "node:http";
import { rm } from "node:fs/promises";
import { fromStatus, messageOf, StatusError } from "@cortado/std/status";

export const actions = ["unplug", "plug", "kill", "cut-power", "boot"] as const;
export type Action = (typeof actions)[number];

/** Serves the commands of `cortado demo` on a Unix socket that only its owner may open. */
export async function serveControl(
  path: string,
  act: (action: Action, store: string) => Promise<void>,
): Promise<AsyncDisposable> {
  await rm(path, { force: true });
  const server = createServer((incoming, response) => {
    const [action = "", store = ""] = (incoming.url ?? "").slice(1).split("/").map(decodeURIComponent);
    const known = actions.find((one) => one === action);
    const done = known === undefined ? Promise.resolve() : act(known, store);
    done.then(
      () => response.end("{}"),
      (error: unknown) => {
        // The one who asks is the one who runs the demo: nothing needs to be kept from him.
        const known =
          error instanceof StatusError
            ? error
            : new StatusError("InternalError", messageOf(error), { cause: error });
        const status = known.toStatus();
        response.statusCode = status.code ?? 500;
        response.end(JSON.stringify(status));
      },
    );
  });
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * Asks the running demo; "ping" as the action only asks whether it is there.
 * @throws StatusError "NotFound" when no demo runs, or as the demo answers
 */
export function askDemo(path: string, action: Action | "ping", store = ""): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath: path, path: `/${action}/${encodeURIComponent(store)}`, method: "POST" },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => (text += part));
        response.on("end", () =>
          response.statusCode === 200 ? resolve() : reject(fromStatus(JSON.parse(text))),
        );
      },
    );
    outgoing.on("error", (cause) => {
      reject(new StatusError("NotFound", "no demo runs here; start one with npm start", { cause }));
    });
    outgoing.end();
  });
}
