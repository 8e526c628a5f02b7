import { StatusError, type StatusCause } from "@cortado/std/status";
import { resourceText } from "@cortado/kinds/resources";

type Resource = { readonly group: string; readonly plural: string };
type Named = Resource & { readonly name: string };

function detailsOf({ group, plural, name }: Named): { name: string; group?: string; kind: string } {
  return { name, ...(group === "" ? {} : { group }), kind: plural };
}

export function notFound(what: Named): StatusError {
  return new StatusError("NotFound", `${resourceText(what)} ${JSON.stringify(what.name)} not found`, {
    details: detailsOf(what),
  });
}

export function alreadyExists(what: Named): StatusError {
  return new StatusError(
    "AlreadyExists",
    `${resourceText(what)} ${JSON.stringify(what.name)} already exists`,
    { details: detailsOf(what) },
  );
}

const staleWords =
  "the object has been modified; please apply your changes to the latest version and try again";

export function conflict(what: Named, why: string = staleWords): StatusError {
  const message = `Operation cannot be fulfilled on ${resourceText(what)} ${JSON.stringify(what.name)}: ${why}`;
  return new StatusError("Conflict", message, { details: detailsOf(what) });
}

export function forbiddenObject(what: Named, why: string): StatusError {
  const name = what.name === "" ? "" : ` ${JSON.stringify(what.name)}`;
  return new StatusError("Forbidden", `${resourceText(what)}${name} is forbidden: ${why}`, {
    details: detailsOf(what),
  });
}

export function badRequest(message: string): StatusError {
  return new StatusError("BadRequest", message);
}

export function methodNotAllowed(): StatusError {
  return new StatusError(
    "MethodNotAllowed",
    "the server does not allow this method on the requested resource",
  );
}

export function unknownPath(): StatusError {
  return new StatusError("NotFound", "the server could not find the requested resource", { details: {} });
}

export function expired(message: string, metadata: Readonly<Record<string, unknown>> = {}): StatusError {
  return new StatusError("Expired", message, { metadata });
}

export function causesOf(error: StatusError): readonly StatusCause[] {
  return error.details?.causes ?? [];
}
