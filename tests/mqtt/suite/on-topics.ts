import assert from "node:assert/strict";
import * as make from "./bytes.ts";
import { malformed } from "./on-format.ts";
import type { Trial } from "./trial.ts";

/** A filter that is none is refused in SUBACK, or ends the connection. */
const refusedFilter = async (trial: Trial, filter: string): Promise<void> => {
  const client = await trial.client(`f${filter.replaceAll(/[^a-z]/g, "_")}`);
  client.send(make.subscribe({ level: trial.level, filters: [[filter, 0]] }));
  await Promise.any([
    client.suback().then(({ codes }) => assert.ok((codes[0] ?? 0) >= 0x80, `${filter} is granted`)),
    client.closed(),
  ]).catch((error: unknown) => {
    throw error instanceof AggregateError ? (error.errors[0] as Error) : error;
  });
};

export async function hashIsLast(trial: Trial): Promise<void> {
  for (const filter of ["a/#/b", "a#", "#/", "##", "/#a"]) await refusedFilter(trial, filter);
}

export async function plusIsALevel(trial: Trial): Promise<void> {
  for (const filter of ["a+", "+a/b", "a/b+/c", "++"]) await refusedFilter(trial, filter);
  const client = await trial.client();
  const filter = `+/${trial.topic("+").split("/").slice(1).join("/")}`;
  assert.deepEqual(await client.subscribe([filter, 0]), [0]);
  await client.publish(trial.topic("x"), "at both ends");
  assert.equal((await client.message()).payload, "at both ends");
}

/** Filters that begin with a wildcard do not find topics that begin with `$`. */
export async function dollarIsApart(trial: Trial): Promise<void> {
  const client = await trial.client();
  const topic = `$statements/${trial.id()}`;
  await client.subscribe(["#", 0], [`+/${trial.id()}`, 0]);
  const other = await trial.client("other");
  await other.subscribe([`$statements/#`, 0]);
  await other.publish(topic, "apart");
  await other.publish(trial.topic("end"), "end");
  await other.settle();
  assert.equal((await client.message(trial.topic("end"))).payload, "end");
  const found = client.waiting("publish").filter(({ body }) => body.includes("$statements"));
  assert.equal(found.length, 0);
}

export async function emptyNames(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refuses(make.publish({ level, topic: "" }), malformed);
  await trial.refuses(make.unsubscribe({ level, filters: [""] }), [...malformed, 0x8f]);
  await refusedFilter(trial, "");
}

export async function nullInNames(trial: Trial): Promise<void> {
  const { level } = trial;
  await trial.refuses(make.publish({ level, topic: "a\u0000" }), malformed);
  await trial.refuses(make.subscribe({ level, filters: [["a\u0000/#", 0]] }), malformed);
}

/** Nothing is taken for something else: cases, empty levels, spaces, composed letters. */
export async function noNormalizing(trial: Trial): Promise<void> {
  const client = await trial.client();
  const names = ["a", "A", "/a", "a/", "a//b", "a/b", " a", "\u00e9", "e\u0301", "."];
  for (const name of names) {
    const { codes } = { codes: await client.subscribe([trial.topic(name), 0]) };
    assert.deepEqual(codes, [0]);
    for (const other of names) await client.publish(trial.topic(other), other);
    assert.equal((await client.message()).topic, trial.topic(name));
    await client.settle();
    assert.equal(client.waiting("publish").length, 0, `${name} finds others`);
    await client.unsubscribe(trial.topic(name));
  }
}

/** An empty level is a level: the thirteen filters that must or must not find `/store104/fridge/temp`. */
export async function emptyLevels(trial: Trial): Promise<void> {
  const client = await trial.client();
  const root = `/${trial.id()}/fridge/temp`;
  const name = trial.id();
  const found = [
    root,
    `/${name}/fridge/+`,
    `/${name}/#`,
    "/#",
    "#",
    `+/${name}/fridge/temp`,
    "/+/fridge/temp",
  ];
  const more = ["/+/+/+", "+/+/+/+", "+/#", `${root}/#`];
  for (const filter of [...found, ...more]) {
    await client.subscribe([filter, 0]);
    await client.publish(root, filter);
    assert.equal((await client.message(root)).payload, filter);
    await client.unsubscribe(filter);
  }
  for (const filter of [`${name}/#`, "+/fridge/temp"]) {
    await client.subscribe([filter, 0]);
    await client.publish(root, filter);
    await client.settle();
    assert.equal(client.waiting("publish").length, 0, `${filter} finds it`);
    await client.unsubscribe(filter);
  }
}
