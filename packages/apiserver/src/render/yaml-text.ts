/** JSON as YAML text for answers in application/yaml. Strings are quoted where a reader could take them for something else. */
export function yamlText(value: unknown): string {
  return `${block(value, "").replace(/^\n/, "")}\n`;
}

function block(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return " []";
    return value.map((item) => `\n${indent}-${nested(item, `${indent}  `)}`).join("");
  }
  if (typeof value === "object" && value !== null) {
    const keys = Object.keys(value).filter((key) => (value as Record<string, unknown>)[key] !== undefined);
    if (keys.length === 0) return " {}";
    return keys
      .map((key) => `\n${indent}${scalar(key)}:${below((value as Record<string, unknown>)[key], indent)}`)
      .join("");
  }
  return ` ${scalar(value)}`;
}

function below(value: unknown, indent: string): string {
  return Array.isArray(value) ? block(value, indent) : block(value, `${indent}  `);
}

// The first key of an object in a list stands on the line of its dash.
function nested(item: unknown, indent: string): string {
  const text = block(item, indent);
  return text.startsWith(`\n${indent}`) ? ` ${text.slice(indent.length + 1)}` : text;
}

function scalar(value: unknown): string {
  if (typeof value !== "string") return typeof value === "bigint" ? value.toString() : JSON.stringify(value);
  const isPlain =
    /^[A-Za-z_/][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$/.test(value) &&
    !/^(y|n|yes|no|on|off|true|false|null)$/i.test(value);
  return isPlain ? value : JSON.stringify(value);
}
