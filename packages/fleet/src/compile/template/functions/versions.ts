import { isVersion, readVersion, satisfies } from "../semver.ts";
import type { Arguments, FunctionTable } from "./arguments.ts";

/** sprig's functions for semantic versions. */
export const versions: FunctionTable = {
  semver: [1, 1, (given) => version(given, 0)],
  semverCompare: [2, 2, (given) => satisfies(version(given, 1), given.text(0))],
};

function version(given: Arguments, index: number): ReturnType<typeof readVersion> {
  if (!isVersion(given.text(index)))
    throw given.fault(`cannot read ${JSON.stringify(given.text(index))} as a version`);
  return readVersion(given.text(index));
}
