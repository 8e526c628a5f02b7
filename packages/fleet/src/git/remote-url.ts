import { StatusError } from "@cortado/std/status";

/** The url without name and password, for people and logs. */
export function withoutLogin(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, "$1");
}

/** Where a submodule is: its own url, or one that is relative to its parent's (gitmodules(5)). @throws StatusError "Invalid" */
export function submoduleUrl(parent: string, url: string): string {
  if (!/^\.\.?\//.test(url)) {
    // A dash would be read as an option, and a path would be one of the hub's own disk.
    if (/^(https?|ssh):\/\//i.test(url) || /^[\w.-]+@[\w.-]+:(?!\/\/)/.test(url)) return url;
    throw new StatusError(
      "Invalid",
      `the url ${JSON.stringify(url)} of a submodule is not https, http or ssh`,
    );
  }
  const isScp = !parent.includes("://");
  const mark = isScp ? parent.indexOf(":") + 1 : parent.indexOf("/", parent.indexOf("://") + 3) + 1;
  const [head, path] = [parent.slice(0, mark), parent.slice(mark).replace(/\/+$/, "")];
  const parts = path.split("/");
  for (const part of url.split("/"))
    if (part === "..") {
      if (parts.pop() === undefined)
        throw new StatusError(
          "Invalid",
          `the url ${JSON.stringify(url)} of a submodule leads out of its host`,
        );
    } else if (part !== "." && part !== "") parts.push(part);
  return head + parts.join("/");
}
