import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { Outbox, outboxSchema } from "./outbox.ts";

test("a message that is added just as the outbox has found nothing left goes out all the same", async () => {
  const got: string[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      for (const { order } of JSON.parse(Buffer.concat(parts).toString()) as { order: string }[])
        got.push(order);
      response.end("{}");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  using database = new DatabaseSync(":memory:");
  database.exec(outboxSchema);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/deltas`;
  try {
    const outbox = new Outbox({ service: "order", database, targets: { inventory: url } });
    // It has looked, and its end is not told yet.
    outbox.add("inventory", { order: "first" });
    outbox.flush();
    const left = database.prepare("SELECT count(*) AS count FROM outbox");
    for (const end = performance.now() + 5_000; left.get()?.["count"] !== 0 && performance.now() < end;)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(got, ["first"]);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
