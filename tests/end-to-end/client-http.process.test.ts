import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openLoopback } from "@cortado/apiserver/testing/loopback";
import { newClient } from "@cortado/client";
import { httpTransport } from "@cortado/client/node/http";
import { configMaps } from "@cortado/kinds/resources";
import { hasReason } from "@cortado/std/status";

test("what a deletion asks for reaches the server over HTTPS: another's object is not deleted", async () => {
  await using loopback = await openLoopback();
  const read = (name: string): string => readFileSync(join(loopback.folder, name), "utf8");
  using transport = httpTransport({
    server: `https://127.0.0.1:${loopback.port}`,
    ca: read("ca.crt"),
    credential: { cert: read("admin.crt"), key: read("admin.key") },
  });
  const client = newClient(transport);
  const { signal } = new AbortController();
  const where = { name: "menu", namespace: "default", signal };
  const made = await client.create(
    configMaps,
    { metadata: { name: "menu", namespace: "default" } },
    { signal },
  );
  await assert.rejects(
    client.delete(configMaps, { ...where, preconditions: { uid: "another" } }),
    (error: unknown) => hasReason(error, "Conflict"),
  );
  assert.equal((await client.get(configMaps, where)).metadata.uid, made.metadata.uid);
  await client.delete(configMaps, { ...where, preconditions: { uid: made.metadata.uid } });
  await assert.rejects(client.get(configMaps, where), (error: unknown) => hasReason(error, "NotFound"));
});
