/** Upstream's rules for names, with its words (apimachinery, pkg/util/validation). */
const label1123 = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomain1123 = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const qualified = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

export const SUBDOMAIN_BYTES_MAX = 253;
export const LABEL_BYTES_MAX = 63;

export function subdomainProblems(name: string): readonly string[] {
  if (name.length > SUBDOMAIN_BYTES_MAX) return [`must be no more than ${SUBDOMAIN_BYTES_MAX} bytes`];
  if (subdomain1123.test(name)) return [];
  return [
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an " +
      "alphanumeric character (e.g. 'example.com', regex used for validation is " +
      "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  ];
}

export function labelProblems(name: string): readonly string[] {
  if (name.length > LABEL_BYTES_MAX) return [`must be no more than ${LABEL_BYTES_MAX} bytes`];
  if (label1123.test(name)) return [];
  return [
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric " +
      "character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
  ];
}

export function label1035Problems(name: string): readonly string[] {
  if (name.length > LABEL_BYTES_MAX) return [`must be no more than ${LABEL_BYTES_MAX} bytes`];
  if (label1035.test(name)) return [];
  return [
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an " +
      "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
  ];
}

/** RBAC names: anything that is one path segment. */
export function pathSegmentProblems(name: string): readonly string[] {
  if (name === "." || name === "..") return [`may not be '${name}'`];
  if (name.includes("/")) return ["may not contain '/'"];
  return name.includes("%") ? ["may not contain '%'"] : [];
}

export function qualifiedNameProblems(name: string): readonly string[] {
  const parts = name.split("/");
  const own = parts.at(-1) ?? "";
  if (parts.length > 2)
    return [
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
        "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an " +
        "optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ];
  const problems: string[] = [];
  if (parts.length === 2 && parts[0] === "") problems.push("prefix part must be non-empty");
  else if (parts.length === 2)
    problems.push(...subdomainProblems(parts[0] ?? "").map((text) => `prefix part ${text}`));
  if (own === "") problems.push("name part must be non-empty");
  else if (own.length > LABEL_BYTES_MAX)
    problems.push(`name part must be no more than ${LABEL_BYTES_MAX} bytes`);
  if (!qualified.test(own))
    problems.push(
      "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
        "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    );
  return problems;
}

export function labelValueProblems(value: string): readonly string[] {
  if (value.length > LABEL_BYTES_MAX) return [`must be no more than ${LABEL_BYTES_MAX} bytes`];
  if (value === "" || qualified.test(value)) return [];
  return [
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " +
      "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is " +
      "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
  ];
}

export function configKeyProblems(key: string): readonly string[] {
  if (key.length > SUBDOMAIN_BYTES_MAX) return [`must be no more than ${SUBDOMAIN_BYTES_MAX} bytes`];
  if (key === "." || key === "..") return [`must not be '${key}'`];
  if (key.startsWith("..")) return ["must not start with '..'"];
  if (/^[-._a-zA-Z0-9]+$/.test(key)) return [];
  return [
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', " +
      "regex used for validation is '[-._a-zA-Z0-9]+')",
  ];
}

export function portNameProblems(name: string): readonly string[] {
  const problems: string[] = [];
  if (name.length > 15) problems.push("must be no more than 15 bytes");
  if (!/^[-a-z0-9]+$/.test(name))
    problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (!/[a-z]/.test(name)) problems.push("must contain at least one letter (a-z)");
  if (name.includes("--")) problems.push("must not contain consecutive hyphens");
  if (name.startsWith("-") || name.endsWith("-")) problems.push("must not begin or end with a hyphen");
  return problems;
}
