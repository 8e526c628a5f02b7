import { StatusError } from "@cortado/std/status";

/**
 * Does a name match a pattern, as Go's filepath.Match says: `*` and `?` stop at a slash, `[a-z]` and `[^a]` are classes, a backslash takes the
 * next letter as it is.
 * @throws StatusError "BadRequest" for a pattern that does not end what it begins
 */
export function globMatches(pattern: string, name: string): boolean {
  const steps = stepsOf(pattern);
  let [step, at] = [0, 0];
  let star: { step: number; at: number } | undefined;
  while (at < name.length) {
    const here = steps[step];
    if (here === "star") star = { step: (step += 1), at };
    else if (here?.(name[at] as string) === true) {
      step += 1;
      at += 1;
    } else if (star !== undefined && name[star.at] !== "/") {
      star.at += 1;
      at = star.at;
      step = star.step;
    } else return false;
  }
  return steps.slice(step).every((rest) => rest === "star");
}

type Step = "star" | ((letter: string) => boolean);

const parsed = new Map<string, readonly Step[]>();
const PARSED_MAX = 1_000;

function stepsOf(pattern: string): readonly Step[] {
  const known = parsed.get(pattern);
  if (known !== undefined) return known;
  const steps: Step[] = [];
  for (let at = 0; at < pattern.length; at += 1) {
    const letter = pattern[at] as string;
    if (letter === "*") {
      if (steps.at(-1) !== "star") steps.push("star");
    } else if (letter === "?") steps.push((other) => other !== "/");
    else if (letter === "[") {
      const { matches, end } = classOf(pattern, at);
      steps.push(matches);
      at = end;
    } else {
      if (letter === "\\") at += 1;
      const wanted = pattern[at];
      if (wanted === undefined) throw badPattern(pattern);
      steps.push((other) => other === wanted);
    }
  }
  if (parsed.size >= PARSED_MAX) parsed.clear();
  parsed.set(pattern, steps);
  return steps;
}

function classOf(pattern: string, start: number): { matches: (letter: string) => boolean; end: number } {
  let at = start + 1;
  const isNegated = pattern[at] === "^";
  if (isNegated) at += 1;
  const ranges: { readonly from: string; readonly to: string }[] = [];
  const next = (): string => {
    if (pattern[at] === "\\") at += 1;
    const letter = pattern[at];
    if (letter === undefined) throw badPattern(pattern);
    at += 1;
    return letter;
  };
  while (pattern[at] !== "]" || ranges.length === 0) {
    if (pattern[at] === "-" || pattern[at] === "]") throw badPattern(pattern);
    const from = next();
    let to = from;
    if (pattern[at] === "-") {
      at += 1;
      to = next();
    }
    ranges.push({ from, to });
  }
  const matches = (letter: string): boolean =>
    letter !== "/" && ranges.some(({ from, to }) => letter >= from && letter <= to) !== isNegated;
  return { matches, end: at };
}

function badPattern(pattern: string): StatusError {
  return new StatusError(
    "BadRequest",
    `${JSON.stringify(pattern)} is not a pattern: a [ or \\ in it has no end`,
  );
}
