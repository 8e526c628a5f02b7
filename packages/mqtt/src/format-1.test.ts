import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryFiles } from "@cortado/std/testing/memory-files";
import { folder, until, World } from "./testing/world.ts";

// What a broker of format 1 left: a session "away" on /a/#, a retained QoS 1 message and a QoS 2 one that its sender "s" has not released.
const journal =
  "Q29NcSIAAABtBhirAXsidmVyc2lvbiI6MSwiYnJva2VyIjoiN2RmYmJmOTYifUNvTXFcAAAASsxb2QN7Im51bWJlciI6MSwi" +
  "Y2xpZW50SWQiOiJhd2F5IiwidXNlciI6IiIsImZpbHRlcnMiOltdLCJ0aHJvdWdoIjowLCJhaGVhZCI6W10sInJlY2Vpdmlu" +
  "ZyI6W119Q29NcTQAAABSnF+JBXsic2Vzc2lvbiI6MSwiZmlsdGVycyI6W3siZmlsdGVyIjoiL2EvIyIsInFvcyI6MX1dfUNv" +
  "TXFZAAAAOqnhYwN7Im51bWJlciI6MiwiY2xpZW50SWQiOiJzIiwidXNlciI6IiIsImZpbHRlcnMiOltdLCJ0aHJvdWdoIjow" +
  "LCJhaGVhZCI6W10sInJlY2VpdmluZyI6W119Q29NcScAAADARgYZAgAAAAAAAPA/AACAqm23eUIFAAAAAAAABAABAAEAAAAv" +
  "YS8xb25lQ29NcScAAACYZlCNAgAAAAAAAABAAACAqm23eUIKAgAAAAIABAABAAEAAAAvYS8ydHdv";

test("a journal of format 1 is read: its session, messages, retained message and open QoS 2 publish", async () => {
  const files = new MemoryFiles();
  await files.replace(`${folder}/journal-0000000001.log`, Buffer.from(journal, "base64"));
  await using world = await World.start({ files });
  const away = await world.client({ clientId: "away", cleanSession: false });
  assert.equal(away.connack.sessionPresent, true);
  await until(() => away.messages.length === 2, "both");
  assert.deepEqual(away.texts, ["one", "two"]);
  assert.deepEqual(
    away.messages.map(({ qos, retain }) => [qos, retain]),
    [
      [1, false],
      [1, false],
    ],
    "format 1 granted no QoS 2",
  );
  const sender = await world.client({ clientId: "s", cleanSession: false, autoAck: false });
  const payload = new TextEncoder().encode("two");
  sender.send({ type: "publish", topic: "/a/2", payload, qos: 2, retain: false, dup: true, id: 2 });
  await until(() => sender.has("pubrec", 2), "PUBREC");
  const late = await world.client({ clientId: "late" });
  await late.subscribed("/a/#");
  await until(() => late.messages.length === 1, "retained");
  assert.equal(away.messages.length, 2, "it does not count twice");
});
