import assert from "node:assert/strict";
import { test } from "node:test";
import { containerNameLabel, podNameLabel, podNamespaceLabel, podUidLabel } from "../runtime/labels.ts";
import type { ContainerConfig, Runtime, SandboxConfig } from "../runtime/runtime.ts";

export type ConformanceRuntime = AsyncDisposable & {
  readonly runtime: Runtime;
  /** An image whose container runs until it is stopped. */
  readonly image: string;
  /** A folder the runtime may write logs into. */
  readonly logFolder: string;
  readonly cgroupParent?: string;
};

/** What every runtime does alike, proved on each. */
export function runtimeConformance(name: string, open: () => Promise<ConformanceRuntime>): void {
  const signal = new AbortController().signal;
  test(`${name}: a pod's whole life`, async () => {
    await using world = await open();
    const { runtime } = world;
    assert.deepEqual(await runtime.rows({ signal }), []);
    const sandbox = sandboxConfig(world, "u1");
    const sandboxId = await runtime.runSandbox(sandbox, { signal });
    const id = await runtime.createContainer(
      { sandboxId, sandbox, config: containerConfig(world.image, "u1") },
      { signal },
    );
    assert.deepEqual(
      (await runtime.pod("u1", { signal })).containers.map(({ phase, name: called, attempt }) => ({
        phase,
        called,
        attempt,
      })),
      [{ phase: "created", called: "main", attempt: 3 }],
    );
    await runtime.startContainer(id, { signal });
    const running = await runtime.pod("u1", { signal });
    assert.equal(running.sandboxes[0]?.ready, true);
    assert.match(running.sandboxes[0]?.ips[0] ?? "", /^\d+\.\d+\.\d+\.\d+$/);
    assert.equal(running.containers[0]?.phase, "running");
    assert.equal(running.containers[0]?.sandboxId, sandboxId);
    assert.equal(running.containers[0]?.annotations["kept"], "yes");
    assert.ok((running.containers[0]?.startedMs ?? 0) > 0);
    assert.deepEqual(
      (await runtime.rows({ signal }))
        .map(({ kind, phase, podUid }) => ({ kind, phase, podUid }))
        .toSorted((a, b) => (a.kind < b.kind ? -1 : 1)),
      [
        { kind: "container", phase: "running", podUid: "u1" },
        { kind: "sandbox", phase: "ready", podUid: "u1" },
      ],
    );
    await runtime.stopContainer(id, { graceS: 0, signal });
    const ended = (await runtime.pod("u1", { signal })).containers[0];
    assert.equal(ended?.phase, "exited");
    assert.notEqual(ended?.exitCode, 0);
    assert.ok((ended?.finishedMs ?? 0) >= (ended?.startedMs ?? 1));
    await runtime.stopSandbox(sandboxId, { signal });
    assert.equal((await runtime.pod("u1", { signal })).sandboxes[0]?.ready, false);
    await runtime.removeSandbox(sandboxId, { signal });
    assert.deepEqual(await runtime.pod("u1", { signal }), { sandboxes: [], containers: [] });
  });

  test(`${name}: what is not there may be stopped and removed, but not started`, async () => {
    await using world = await open();
    const { runtime } = world;
    for (const work of [runtime.stopSandbox, runtime.removeSandbox, runtime.removeContainer])
      await work.call(runtime, "gone", { signal });
    await runtime.stopContainer("gone", { graceS: 0, signal });
    await assert.rejects(runtime.startContainer("gone", { signal }), (error: Error) =>
      /not found|not there/.test(error.message),
    );
  });

  test(`${name}: pods do not see each other`, async () => {
    await using world = await open();
    const { runtime } = world;
    const ids = await Promise.all(
      ["a", "b"].map((uid) => runtime.runSandbox(sandboxConfig(world, uid), { signal })),
    );
    const [first, second] = await Promise.all([runtime.pod("a", { signal }), runtime.pod("b", { signal })]);
    assert.equal(first.sandboxes.length, 1);
    assert.notEqual(first.sandboxes[0]?.ips[0], second.sandboxes[0]?.ips[0]);
    for (const id of ids) await runtime.removeSandbox(id, { signal });
  });

  test(`${name}: an image is there or is not`, async () => {
    await using world = await open();
    assert.equal(await world.runtime.image("cortado.local/no-such:1", { signal }), undefined);
    assert.ok((await world.runtime.image(world.image, { signal })) !== undefined);
  });

  test(`${name}: the end of a container is told`, async () => {
    await using world = await open();
    const { runtime } = world;
    const stop = new AbortController();
    let told = 0;
    const watching = runtime.watch(() => (told += 1), { signal: stop.signal }).catch(() => undefined);
    const sandbox = sandboxConfig(world, "w");
    const sandboxId = await runtime.runSandbox(sandbox, { signal });
    const id = await runtime.createContainer(
      { sandboxId, sandbox, config: containerConfig(world.image, "w") },
      { signal },
    );
    await runtime.startContainer(id, { signal });
    const before = told;
    await runtime.stopContainer(id, { graceS: 0, signal });
    for (let turn = 0; turn < 200 && told === before; turn += 1)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(told > before);
    await runtime.removeSandbox(sandboxId, { signal });
    stop.abort();
    await watching;
  });
}

export function sandboxConfig(
  world: Pick<ConformanceRuntime, "logFolder" | "cgroupParent">,
  uid: string,
): SandboxConfig {
  return {
    metadata: { name: `pod-${uid}`, namespace: "n", uid, attempt: 0 },
    hostname: `pod-${uid}`,
    logDirectory: world.logFolder,
    labels: { [podUidLabel]: uid, [podNameLabel]: `pod-${uid}`, [podNamespaceLabel]: "n" },
    linux: {
      ...(world.cgroupParent === undefined ? {} : { cgroupParent: world.cgroupParent }),
      securityContext: { namespaceOptions: { pid: 1 } },
    },
  };
}

export function containerConfig(image: string, uid: string): ContainerConfig {
  return {
    metadata: { name: "main", attempt: 3 },
    image: { image },
    command: ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"],
    labels: { [podUidLabel]: uid, [containerNameLabel]: "main" },
    annotations: { kept: "yes" },
    logPath: `${uid}.log`,
    linux: { securityContext: { namespaceOptions: { pid: 1 } } },
  };
}
