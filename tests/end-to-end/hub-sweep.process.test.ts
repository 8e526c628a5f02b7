import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "./demo-world.ts";
import { HubProcesses } from "./hub-processes.ts";

/** A remote that takes every connection and never says a word. */
async function deafRemote(): Promise<AsyncDisposable & { readonly url: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/menu.git`,
    async [Symbol.asyncDispose]() {
      // A git that lost its hub ends with its connection.
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("a hub that was killed while git ran leaves a folder, and the next one takes it away", async () => {
  await using remote = await deafRemote();
  await using all = await HubProcesses.start();
  const left = (): readonly string[] =>
    readdirSync(join(all.folder, "tmp")).filter((name) => name.startsWith("cortado-git-"));
  const repo = `apiVersion: fleet.cattle.io/v1alpha1\nkind: GitRepo\nmetadata: {name: deaf, namespace: fleet-default}\nspec: {repo: "${remote.url}"}\n`;
  await all.apply("hub", repo);
  await until("git runs", () => Promise.resolve(left().length === 1), 20_000);
  const [folder = ""] = left();
  await all.told("hub", "delete", "gitrepo", "deaf", "-n", "fleet-default");
  await all.end("hub", "SIGKILL");
  assert.deepEqual(left(), [folder], "kill -9 leaves it");
  all.startHub();
  await all.answers("hub");
  assert.ok(!left().includes(folder), left().join());
});
