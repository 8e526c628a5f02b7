import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { AuditEntry } from "@cortado/fleet/hub/audit";
import { seededRandom } from "@cortado/std/random";
import { HeldClock } from "@cortado/std/testing/held-clock";
import { keptLog } from "@cortado/std/testing/silent-log";
import { AuditFile } from "./audit-file.ts";

const access: AuditEntry = {
  user: "ada",
  groups: ["ops"],
  verb: "create",
  path: "/api/v1/namespaces/default/pods/x/exec",
  remote: "127.0.0.1:4711",
  store: "fleet-default/store-104",
  code: 101,
  event: "store access",
  tookMs: 12,
};

test("the audit log has an event of audit.k8s.io for each entry, and is its owner's to read", async () => {
  const folder = mkdtempSync(join(tmpdir(), "audit-"));
  try {
    const clock = new HeldClock();
    const path = join(folder, "audit.log");
    {
      const ports = { clock, random: seededRandom(1), log: keptLog().log };
      await using file = await AuditFile.open({ path, bytesMax: 1_000_000, backupsMax: 2 }, ports);
      file.append(access);
      const refused = {
        event: "registration refused",
        user: "",
        groups: [],
        verb: "create",
        tookMs: 0,
      } as const;
      const why = { code: 401, reason: "Unauthorized", message: "the token is not known" };
      file.append({ ...refused, ...why, path: "/fleet/v1/register", remote: "[::1]:9", store: "" });
    }
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const [first, second] = readFileSync(path, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      { ...first, auditID: "", requestReceivedTimestamp: "", stageTimestamp: "" },
      {
        ...{ kind: "Event", apiVersion: "audit.k8s.io/v1", level: "Metadata", stage: "ResponseComplete" },
        ...{ auditID: "", requestReceivedTimestamp: "", stageTimestamp: "" },
        ...{ requestURI: access.path, verb: "create", sourceIPs: ["127.0.0.1"] },
        user: { username: "ada", groups: ["ops"] },
        objectRef: {
          ...{ resource: "clusters", apiGroup: "fleet.cattle.io" },
          ...{ namespace: "fleet-default", name: "store-104" },
        },
        responseStatus: { metadata: {}, code: 101 },
        annotations: { "cortado.dev/event": "store access" },
      },
    );
    assert.match(String(first?.["stageTimestamp"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.deepEqual(second?.["user"], { username: "system:anonymous", groups: [] });
    assert.deepEqual(second?.["sourceIPs"], ["::1"]);
    assert.equal(second?.["objectRef"], undefined);
    assert.deepEqual(second?.["responseStatus"], {
      ...{ metadata: {}, status: "Failure", reason: "Unauthorized" },
      ...{ message: "the token is not known", code: 401 },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a full audit log is put aside, and only so many of those stay", async () => {
  const folder = mkdtempSync(join(tmpdir(), "audit-"));
  try {
    const clock = new HeldClock();
    const path = join(folder, "audit.log");
    const ports = { clock, random: seededRandom(1), log: keptLog().log };
    for (let at = 0; at < 6; at += 1) {
      await using file = await AuditFile.open({ path, bytesMax: 300, backupsMax: 2 }, ports);
      file.append({ ...access, user: `user-${at}` });
      await clock.advance(1_000);
    }
    const names = readdirSync(folder).sort();
    assert.equal(names.length, 3, names.join(" "));
    assert.ok(names.every((name) => /^audit(-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3})?\.log$/.test(name)));
    const users = names.map((name) => /user-\d/.exec(readFileSync(join(folder, name), "utf8"))?.[0]);
    assert.deepEqual(users.toSorted(), ["user-3", "user-4", "user-5"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a trail that cannot be written is told, once, and refused at the start when its folder is not there", async () => {
  const folder = mkdtempSync(join(tmpdir(), "audit-"));
  const { log, lines } = keptLog();
  const ports = { clock: new HeldClock(), random: seededRandom(1), log };
  const path = join(folder, "audit.log");
  {
    await using file = await AuditFile.open({ path, bytesMax: 1_000, backupsMax: 2 }, ports);
    rmSync(folder, { recursive: true });
    file.append(access);
    await new Promise((resolve) => setTimeout(resolve, 50));
    file.append(access);
  }
  assert.equal(lines.filter(({ message }) => message.includes("audit log cannot be written")).length, 1);
  await assert.rejects(
    AuditFile.open({ path, bytesMax: 1, backupsMax: 1 }, ports),
    /--audit-log-path .* cannot be written/,
  );
});
