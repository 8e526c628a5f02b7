import { isTree, type Tree } from "@cortado/kinds/tree";
import { StatusError } from "@cortado/std/status";

/** A value as Go's fmt writes it with %v; whole numbers never with an exponent, for a label has none. */
export function goText(value: unknown, isInner = false): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return isInner ? "<nil>" : "<no value>";
  if (typeof value === "number") return numberText(value);
  if (Array.isArray(value)) return `[${value.map((item) => goText(item, true)).join(" ")}]`;
  if (isTree(value)) {
    const fields = sortedKeys(value).map((key) => `${key}:${goText(value[key], true)}`);
    return `map[${fields.join(" ")}]`;
  }
  return String(value);
}

export function sortedKeys(tree: Readonly<Tree>): string[] {
  return Object.keys(tree).toSorted((one, other) => (one < other ? -1 : 1));
}

function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const text = Math.abs(value) < 1e-4 ? value.toExponential() : String(value);
  return text.replace(/e([-+])(\d)$/, "e$10$2");
}

/** What Go calls the type of a value that came of YAML or JSON. */
export function goKind(value: unknown): string {
  if (value === null || value === undefined) return "invalid";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "bigint") return "int";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  return Array.isArray(value) ? "slice" : "map";
}

/** As Go's templates judge a condition. */
export function isTrue(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === "") return false;
  if (value === 0 || value === 0n) return false;
  if (Array.isArray(value)) return value.length > 0;
  return !isTree(value) || Object.keys(value).length > 0;
}

/** Go's fmt.Sprintf, of the verbs that templates use. @throws StatusError "Invalid" for the rest, and for a value that does not fit */
export function sprintf(format: string, values: readonly unknown[]): string {
  let next = 0;
  const pattern = /%([-+# 0]*)(\d{1,4})?(?:\.(\d{1,3})?)?(.)?/gs;
  const text = format.replaceAll(
    pattern,
    (
      whole,
      flags: string,
      width: string | undefined,
      digits: string | undefined,
      verb: string | undefined,
    ) => {
      if (verb === "%") return "%";
      if (verb === undefined)
        throw new StatusError("Invalid", `printf: ${JSON.stringify(whole)} has no verb`);
      if (next >= values.length) throw new StatusError("Invalid", `printf: there is no value for ${whole}`);
      const value = values[next];
      next += 1;
      const precision = whole.includes(".") ? Number(digits ?? 0) : undefined;
      return padded(formatted(value, { verb, flags, precision, whole }), { flags, width, verb });
    },
  );
  if (next < values.length)
    throw new StatusError(
      "Invalid",
      `printf: ${JSON.stringify(format)} takes ${next} values, not ${values.length}`,
    );
  return text;
}

type Verb = {
  readonly verb: string;
  readonly flags: string;
  readonly precision: number | undefined;
  readonly whole: string;
};

function formatted(value: unknown, { verb, flags, precision, whole }: Verb): string {
  const wrong = (wanted: string): StatusError =>
    new StatusError("Invalid", `printf: ${whole} wants ${wanted}, not ${goKind(value)}`);
  if (verb === "v" || verb === "s") {
    if (verb === "s" && (typeof value === "number" || typeof value === "boolean")) throw wrong("text");
    const text = goText(value, true);
    return precision === undefined || typeof value !== "string"
      ? text
      : [...text].slice(0, precision).join("");
  }
  if (verb === "q") {
    if (typeof value !== "string") throw wrong("text");
    return JSON.stringify(value);
  }
  if (verb === "t") {
    if (typeof value !== "boolean") throw wrong("true or false");
    return String(value);
  }
  if (verb === "x" || verb === "X") {
    const hex = typeof value === "string" ? hexOf(value) : wholeNumber(value, wrong).toString(16);
    return verb === "X" ? hex.toUpperCase() : hex;
  }
  const plus = flags.includes("+") && Number(value) >= 0 ? "+" : "";
  if (verb === "d") return plus + wholeNumber(value, wrong).toString();
  if (verb === "o") return wholeNumber(value, wrong).toString(8);
  if (verb === "b") return wholeNumber(value, wrong).toString(2);
  if (verb === "c") return String.fromCodePoint(Number(wholeNumber(value, wrong)));
  if (typeof value !== "number") throw wrong("a number");
  if (verb === "f" || verb === "F") return plus + value.toFixed(Math.min(precision ?? 6, 100));
  if (verb === "g")
    return (
      plus +
      numberText(precision === undefined ? value : Number(value.toPrecision(Math.min(precision || 1, 100))))
    );
  if (verb === "e")
    return plus + value.toExponential(Math.min(precision ?? 6, 100)).replace(/e([-+])(\d)$/, "e$10$2");
  throw new StatusError("Invalid", `printf: the verb ${whole} is not done; use %v, %s, %q, %d, %f, %t or %x`);
}

function wholeNumber(value: unknown, wrong: (wanted: string) => StatusError): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value !== "number" || !Number.isInteger(value)) throw wrong("a whole number");
  return BigInt(value);
}

function hexOf(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

type Padding = { readonly flags: string; readonly width: string | undefined; readonly verb: string };

function padded(text: string, { flags, width, verb }: Padding): string {
  const missing = Number(width ?? 0) - [...text].length;
  if (missing <= 0) return text;
  if (flags.includes("-")) return text + " ".repeat(missing);
  if (!flags.includes("0") || verb === "s" || verb === "q") return " ".repeat(missing) + text;
  return /^[-+]/.test(text) ? text[0] + "0".repeat(missing) + text.slice(1) : "0".repeat(missing) + text;
}
