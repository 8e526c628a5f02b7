import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stockClient } from "../../tests/clients/clients.ts";
import { DemoWorld, until } from "../../tests/end-to-end/demo-world.ts";
import {
  Api,
  boxCgroup,
  boxProcesses,
  bytesWritten,
  percentile,
  postOrder,
  processMemory,
  useKubectl,
  workingSetMb,
} from "./demo-box.ts";
import type { Figure, Section } from "./report.ts";

const pods = 10;
const ordersPerSecond = 10;
const orderSeconds = 30;
/** Before an idle time is measured: first orders, images and caches have come to rest. */
const warmUpMs = 60_000;

const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
const mb = (value: number): string => `${Math.round(value)} MB`;
const sleep = (time: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, time));

/** Start, pods, orders and, first of all, what an idle store costs. */
export async function benchDemo({
  idleMinutes,
  parts,
}: {
  readonly idleMinutes: number;
  readonly parts: readonly ("demo" | "idle")[];
}): Promise<readonly Section[]> {
  useKubectl(stockClient("kubectl"));
  const world = new DemoWorld();
  const sections: Section[] = [];
  try {
    const startMs = await world.start();
    if (parts.includes("idle")) sections.push(await idle(world, idleMinutes));
    if (parts.includes("demo")) sections.push(await busy(world, startMs));
  } finally {
    await world.end();
  }
  return sections;
}

async function idle(world: DemoWorld, minutes: number): Promise<Section> {
  await sleep(warmUpMs);
  const pid = world.store.pid as number;
  const before = bytesWritten(pid);
  const startMs = performance.now();
  await sleep(minutes * 60_000);
  const hours = (performance.now() - startMs) / 3_600_000;
  const written = (bytesWritten(pid) - before) / 2 ** 20 / hours;
  const processes = boxProcesses(world)
    .map(processMemory)
    .filter(({ rssMb }) => rssMb > 0);
  const own = processMemory(pid);
  const box = processes.reduce((sum, { pssMb }) => sum + pssMb, 0);
  const groups = Map.groupBy(processes, ({ name }) => name);
  const shares = [...groups].map(([name, all]) => ({
    name,
    count: all.length,
    pssMb: all.reduce((sum, { pssMb }) => sum + pssMb, 0),
  }));
  const list = shares
    .toSorted((one, other) => other.pssMb - one.pssMb)
    .map(({ name, count, pssMb }) => `${name}${count > 1 ? ` ×${count}` : ""} ${mb(pssMb)}`);
  return {
    title: `Idle store, after ${minutes} minutes`,
    figures: [
      { name: "our process, RSS", value: mb(own.rssMb), aim: "≤ 160 MB", ok: own.rssMb <= 160 },
      {
        name: `whole box, sum of PSS of ${processes.length} processes`,
        value: mb(box),
        aim: "≤ 384 MB",
        ok: box <= 384,
      },
      { name: "whole box, working set of its cgroup", value: mb(workingSetMb(world)) },
      {
        name: "our process, bytes written to disk an hour",
        value: `${written.toFixed(1)} MB`,
        aim: "≤ 5 MB",
        ok: written <= 5,
      },
    ],
    notes: [
      `Shares of the box (PSS): ${list.join(", ")}.`,
      "The shop's machines publish over MQTT all the while. Written is write_bytes of /proc/PID/io over the idle time, scaled to an hour.",
    ],
  };
}

async function busy(world: DemoWorld, startMs: number): Promise<Section> {
  const ready = await bootTimes(world);
  const { created, failed } = await podTimes(world);
  const orders = await orderTimes(world);
  const p50 = percentile(created, 0.5);
  const figures: Figure[] = [
    {
      name: "demo start to ready (box, containerd, shop that sells)",
      value: `${(startMs / 1_000).toFixed(1)} s`,
    },
    {
      name: "start of our process to Ready (boot after kill -9)",
      value: ready.map((one) => `${(one / 1_000).toFixed(2)} s`).join(", "),
      aim: "≤ 3 s",
      ok: Math.min(...ready) <= 3_000,
    },
    {
      name: `pod create to Running, ${created.length} pods one by one`,
      value: `p50 ${ms(p50)}, p99 ${ms(percentile(created, 0.99))}`,
      aim: "≤ 500 ms",
      ok: p50 <= 500,
    },
    {
      name: `orders at ${ordersPerSecond} a second for ${orderSeconds} s`,
      value: `p50 ${ms(percentile(orders.took, 0.5))}, p99 ${ms(percentile(orders.took, 0.99))}, ${orders.refused} refused`,
    },
  ];
  const notes = failed === 0 ? [] : [`${failed} pods did not run within 20 s.`];
  return {
    title: "Busy store",
    figures,
    notes: [...notes, "Boot times hold the start of the command that asks for the boot (about 0.2 s)."],
  };
}

async function bootTimes(world: DemoWorld): Promise<readonly number[]> {
  const times: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    await world.demo("kill");
    const startMs = performance.now();
    await world.demo("boot");
    times.push(performance.now() - startMs);
    await until(
      "the shop to sell",
      async () => (await postOrder(world.store.shop, newOrder())).status === 201,
      30_000,
    );
  }
  return times;
}

function newOrder(): unknown {
  return {
    id: randomUUID(),
    items: [{ sku: "latte", quantity: 1 }],
    payment: { method: "card", token: "tok_visa" },
  };
}

async function podTimes(
  world: DemoWorld,
): Promise<{ readonly created: readonly number[]; readonly failed: number }> {
  const api = new Api(world.store.kubeconfig);
  const path = "/api/v1/namespaces/default/pods";
  const list = JSON.parse((await api.send("GET", "/api/v1/namespaces/coffee-shop/pods")).text) as {
    items: { spec: { containers: { image: string }[] } }[];
  };
  const image = list.items[0]?.spec.containers[0]?.image;
  const created: number[] = [];
  let failed = 0;
  try {
    for (let at = 0; at < pods; at += 1) {
      const name = `bench-${at}`;
      const container = { name: "main", image, command: ["node", "-e", "setInterval(() => undefined, 1e6)"] };
      const watching = new Promise<number>((resolve, reject) => {
        const patience = setTimeout(() => reject(new Error(`${name} does not run`)), 20_000);
        api
          .watch(
            `${path}?watch=true&fieldSelector=metadata.name%3D${name}`,
            ({ object }) => object.status?.phase === "Running",
          )
          .then(() => resolve(performance.now()), reject)
          .finally(() => clearTimeout(patience));
      });
      const startMs = performance.now();
      const answer = await api.send("POST", path, {
        metadata: { name },
        spec: { terminationGracePeriodSeconds: 0, containers: [container] },
      });
      if (answer.status !== 201) throw new Error(answer.text);
      await watching.then(
        (runsMs) => created.push(runsMs - startMs),
        () => (failed += 1),
      );
      await api.send("DELETE", `${path}/${name}`, { gracePeriodSeconds: 0 });
      await sleep(300);
    }
  } finally {
    api.close();
  }
  return { created, failed };
}

async function orderTimes(
  world: DemoWorld,
): Promise<{ readonly took: readonly number[]; readonly refused: number }> {
  const { shop } = world.store;
  const took: number[] = [];
  let refused = 0;
  const all: Promise<void>[] = [];
  for (let at = 0; at < ordersPerSecond * orderSeconds; at += 1) {
    all.push(
      (async () => {
        const startMs = performance.now();
        const { status } = await postOrder(shop, newOrder());
        if (status === 201) took.push(performance.now() - startMs);
        else refused += 1;
      })(),
    );
    await sleep(1_000 / ordersPerSecond);
  }
  await Promise.all(all);
  return { took, refused };
}

/** The demo in a box that may use 512 MB: it must sell. */
export async function benchBox512(): Promise<Section> {
  const limitMb = 512;
  const world = new DemoWorld();
  try {
    await world.start();
    const group = boxCgroup(world);
    const file = ["memory.limit_in_bytes", "memory.max"]
      .map((name) => join(group, name))
      .find((path) => exists(path)) as string;
    writeFileSync(file, String(limitMb * 2 ** 20));
    const peakFile = join(group, "memory.max_usage_in_bytes");
    if (exists(peakFile)) writeFileSync(peakFile, "0"); // what was used before the limit does not count
    // The limit holds from the first byte of the next life on.
    await world.demo("cut-power");
    const cutMs = performance.now();
    await world.demo("boot");
    await until(
      "the shop to sell",
      async () => (await postOrder(world.store.shop, newOrder())).status === 201,
      90_000,
    );
    const sellsMs = performance.now() - cutMs;
    const limit = Number(readFileSync(file, "utf8")) / 2 ** 20;
    const orders = await orderTimes(world);
    const peak =
      Number(
        readFileSync(join(group, file.endsWith("max") ? "memory.peak" : "memory.max_usage_in_bytes"), "utf8"),
      ) /
      2 ** 20;
    const kills =
      /^oom_kill (\d+)$/m.exec(
        readFileSync(join(group, file.endsWith("max") ? "memory.events" : "memory.oom_control"), "utf8"),
      )?.[1] ?? "?";
    return {
      title: `In a box limited to ${limitMb} MB`,
      figures: [
        { name: "limit of the box's cgroup", value: mb(limit) },
        {
          name: "power cut to the first order",
          value: `${(sellsMs / 1_000).toFixed(1)} s`,
          aim: "≤ 30 s",
          ok: sellsMs <= 30_000,
        },
        {
          name: `orders at ${ordersPerSecond} a second for ${orderSeconds} s`,
          value: `p50 ${ms(percentile(orders.took, 0.5))}, p99 ${ms(percentile(orders.took, 0.99))}, ${orders.refused} refused`,
          aim: "sells",
          ok: orders.refused === 0,
        },
        {
          name: "working set, peak with cache, processes killed for memory",
          value: `${mb(workingSetMb(world))}, ${mb(peak)}, ${kills}`,
          aim: "0 killed",
          ok: kills === "0",
        },
      ],
    };
  } finally {
    await world.end();
  }
}

function exists(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}
