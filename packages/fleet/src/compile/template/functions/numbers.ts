import { goText } from "../go-text.ts";
import { anyCount, type Arguments, type FunctionTable } from "./arguments.ts";

/** A list from a count: no template needs more. */
const COUNTED_MAX = 100_000;

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** sprig's functions for numbers. Those without an f at the end take whole numbers. */
export const numbers: FunctionTable = {
  atoi: [1, 1, (given) => (/^[-+]?\d+$/.test(given.text(0)) ? given.whole(0) : 0)],
  int: [1, 1, (given) => given.whole(0)],
  int64: [1, 1, (given) => given.whole(0)],
  float64: [1, 1, (given) => given.decimal(0)],
  toDecimal: [1, 1, (given) => Number.parseInt(`0${goText(given.any(0))}`, 8) || 0],
  add: [0, anyCount, (given) => sumOf(wholes(given))],
  add1: [1, 1, (given) => given.whole(0) + 1],
  sub: [2, 2, (given) => given.whole(0) - given.whole(1)],
  mul: [1, anyCount, (given) => wholes(given).reduce((product, value) => product * value, 1)],
  div: [2, 2, (given) => Math.trunc(given.whole(0) / divisor(given))],
  mod: [2, 2, (given) => given.whole(0) % divisor(given)],
  max: [1, anyCount, (given) => Math.max(...wholes(given))],
  biggest: [1, anyCount, (given) => Math.max(...wholes(given))],
  min: [1, anyCount, (given) => Math.min(...wholes(given))],
  addf: [0, anyCount, (given) => sumOf(decimals(given))],
  add1f: [1, 1, (given) => given.decimal(0) + 1],
  subf: [2, anyCount, (given) => given.decimal(0) - sumOf(decimals(given).slice(1))],
  mulf: [1, anyCount, (given) => decimals(given).reduce((product, value) => product * value, 1)],
  divf: [2, 2, (given) => given.decimal(0) / given.decimal(1)],
  maxf: [1, anyCount, (given) => Math.max(...decimals(given))],
  minf: [1, anyCount, (given) => Math.min(...decimals(given))],
  floor: [1, 1, (given) => Math.floor(given.decimal(0))],
  ceil: [1, 1, (given) => Math.ceil(given.decimal(0))],
  round: [2, 3, round],
  until: [1, 1, (given) => counted(given, 0, given.whole(0))],
  untilStep: [3, 3, untilStep],
  seq: [0, 3, seq],
};

function wholes(given: Arguments): readonly number[] {
  return given.values.map((_value, index) => given.whole(index));
}

function decimals(given: Arguments): readonly number[] {
  return given.values.map((_value, index) => given.decimal(index));
}

function divisor(given: Arguments): number {
  const value = given.whole(1);
  if (value === 0) throw given.fault("divides by 0");
  return value;
}

function round(given: Arguments): number {
  const scale = 10 ** Math.min(Math.max(given.whole(1), 0), 15);
  const from = given.count === 3 ? given.decimal(2) : 0.5;
  const scaled = given.decimal(0) * scale;
  const part = Math.abs(scaled % 1);
  return (part >= from ? Math.trunc(scaled) + Math.sign(scaled) : Math.trunc(scaled)) / scale;
}

function counted(given: Arguments, from: number, to: number): readonly number[] {
  return stepped(given, { from, to, step: to < from ? -1 : 1 });
}

type Steps = { readonly from: number; readonly to: number; readonly step: number };

/** From the first up to but not with the last. */
function stepped(given: Arguments, { from, to, step }: Steps): readonly number[] {
  if (step === 0 || to === from || to > from !== step > 0) return [];
  const count = Math.ceil((to - from) / step);
  if (count > COUNTED_MAX) throw given.fault(`makes a list of ${count}, and ${COUNTED_MAX} is the most`);
  given.run.step(count);
  return Array.from({ length: count }, (_item, index) => from + index * step);
}

function untilStep(given: Arguments): readonly number[] {
  return stepped(given, { from: given.whole(0), to: given.whole(1), step: given.whole(2) });
}

/** As the shell's seq: with the last, and as text. */
function seq(given: Arguments): string {
  const values = wholes(given);
  const [first = 1, second = 1, third = 1] = values;
  if (values.length === 0) return "";
  const from = values.length === 1 ? 1 : first;
  const to = values.length === 1 ? first : values.length === 2 ? second : third;
  const step = values.length === 3 ? second : to < from ? -1 : 1;
  return stepped(given, { from, to: to + Math.sign(step), step }).join(" ");
}
