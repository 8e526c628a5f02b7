import { StatusError } from "@cortado/std/status";

/** One form that a client takes, of its Accept header. */
export type Wanted = {
  readonly type: string;
  readonly as: string;
  readonly group: string;
  readonly version: string;
  readonly params: Readonly<Record<string, string>>;
};

export function readAccept(header: string | undefined): readonly Wanted[] {
  const parts = (header ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const wanted = parts.map((part) => {
    const [type = "", ...rest] = part.split(";").map((piece) => piece.trim());
    const params = Object.fromEntries(
      rest.map((piece) => [piece.split("=")[0] ?? "", piece.split("=").slice(1).join("=")]),
    );
    return {
      type: type.toLowerCase(),
      as: params["as"] ?? "",
      group: params["g"] ?? "",
      version: params["v"] ?? "",
      params,
      q: Number(params["q"] ?? "1"),
    };
  });
  const all =
    wanted.length === 0
      ? [{ type: "application/json", as: "", group: "", version: "", params: {}, q: 1 }]
      : wanted;
  return all.toSorted((one, other) => other.q - one.q);
}

export type Encoding = "json" | "yaml";
export type Form = {
  readonly encoding: Encoding;
  readonly as: "plain" | "table" | "metadata";
  readonly isPretty: boolean;
  readonly contentType: string;
};

/** The first form of Accept that we can write. @throws StatusError "NotAcceptable" */
export function chooseForm(
  header: string | undefined,
  options: { readonly isPretty: boolean; readonly hasTable: boolean },
): Form {
  for (const wanted of readAccept(header)) {
    const encoding = encodingOf(wanted.type);
    if (encoding === undefined) continue;
    const form = { encoding, isPretty: options.isPretty };
    const plain = encoding === "yaml" ? "application/yaml" : "application/json";
    if (wanted.as === "") return { ...form, as: "plain", contentType: plain };
    const isMeta = wanted.group === "meta.k8s.io" && wanted.version === "v1";
    if (wanted.as === "Table" && isMeta && options.hasTable)
      return { ...form, as: "table", contentType: plain };
    if ((wanted.as === "PartialObjectMetadata" || wanted.as === "PartialObjectMetadataList") && isMeta)
      return { ...form, as: "metadata", contentType: plain };
  }
  throw new StatusError(
    "NotAcceptable",
    "only the following media types are accepted: application/json, application/yaml, application/json;as=Table;v=v1;g=meta.k8s.io, application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
  );
}

function encodingOf(type: string): Encoding | undefined {
  if (type === "application/json" || type === "*/*" || type === "application/*") return "json";
  return type === "application/yaml" ? "yaml" : undefined;
}
