import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@cortado/std/random";
import { HeldClock, settle } from "@cortado/std/testing/held-clock";
import { silentLog } from "@cortado/std/testing/silent-log";
import { linkPair } from "../../protocol/memory-link.ts";
import type { FromHub } from "../../protocol/protocol.ts";
import { STORM_SLEEP_MS, WELCOMES_MAX } from "../limits.ts";
import { serveSession, type SessionPorts } from "./session.ts";

test("when all stores come at once, those that would wait too long are told to come back", async () => {
  const cluster = { namespace: "fleet-default", name: "store-1" };
  const row = { key: "fleet-default/store-1", cluster, isRevoked: false, keySha256: "ab", status: {} };
  const core = {
    stores: { get: () => row, connectedCount: 0 },
    options: { maxHeld: 10, sleepMs: 1 },
    ports: { clock: new HeldClock(), random: seededRandom(1), log: silentLog },
  };
  const welcomes = { waiting: WELCOMES_MAX };
  const ports = { core, welcomes } as unknown as SessionPorts;
  const { agent, hub } = linkPair();
  const identity = { cluster, keySha256: "ab", isExpired: false, remote: "198.51.100.7:1" };
  const served = serveSession(hub, identity, ports);
  const versions = { agent: "1", kubernetes: "v1" };
  await agent.send({ type: "hello", protocol: 1, session: "", after: 0, has: {}, versions });
  const told: (FromHub | Uint8Array)[] = [];
  for await (const message of agent.messages()) told.push(message);
  await served;
  await settle();
  const [sleep] = told as FromHub[];
  assert.ok(
    sleep?.type === "sleep" && sleep.ms >= STORM_SLEEP_MS && sleep.ms < STORM_SLEEP_MS * 2,
    JSON.stringify(told),
  );
  assert.equal(told.length, 1);
  assert.equal(welcomes.waiting, WELCOMES_MAX, "it does not wait");
});
