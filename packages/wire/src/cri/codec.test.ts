import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "./codec.ts";

test("a message comes back as it went, and 64-bit integers keep every digit", () => {
  const config = {
    metadata: { name: "order", uid: "u", namespace: "shop", attempt: 2 },
    labels: { a: "1", __proto__x: "2" },
    linux: { securityContext: { runAsUser: { value: 0n }, supplementalGroups: [0n, 2_000n] } },
    portMappings: [{ containerPort: 80 }, {}],
  };
  assert.deepEqual(plain(decode("PodSandboxConfig", encode("PodSandboxConfig", config))), {
    ...config,
    linux: { securityContext: { runAsUser: {}, supplementalGroups: [0n, 2_000n] } },
  });
  const nanos = 1_795_000_000_123_456_789n;
  assert.equal(decode("ContainerStatus", encode("ContainerStatus", { startedAt: nanos })).startedAt, nanos);
});

test("the bytes are those of protobuf: tag, length, value", () => {
  assert.deepEqual([...encode("IdMessage", { id: "ab" })], [0x0a, 2, 0x61, 0x62]);
  assert.deepEqual(
    [...encode("StopContainerRequest", { containerId: "c", timeout: 30n })],
    [0x0a, 1, 0x63, 0x10, 30],
  );
  assert.deepEqual([...encode("PortForwardRequest", { port: [80, 0] })], [0x10, 80, 0x10, 0]);
});

test("unknown fields are skipped, packed and unpacked numbers are both read", () => {
  const bytes = Uint8Array.of(0x0a, 1, 0x63, 0x12, 2, 80, 81, 0x10, 82, 0x7a, 1, 0xff);
  assert.deepEqual(plain(decode("PortForwardRequest", bytes)), { podSandboxId: "c", port: [80, 81, 82] });
});

test("a map may hold any key", () => {
  const { labels } = decode(
    "PodSandboxConfig",
    encode("PodSandboxConfig", { labels: JSON.parse('{"__proto__":"x"}') }),
  );
  assert.deepEqual(Object.entries(labels ?? {}), [["__proto__", "x"]]);
});

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
