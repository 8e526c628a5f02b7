import { builtIns } from "./built-ins.ts";
import { collections } from "./collections.ts";
import { encodings } from "./encodings.ts";
import { numbers } from "./numbers.ts";
import { texts } from "./texts.ts";
import { versions } from "./versions.ts";
import type { FunctionTable, TemplateFunction } from "./arguments.ts";

const tables: readonly FunctionTable[] = [builtIns, texts, numbers, collections, encodings, versions];

/** Every function that a template may call: Go's own, sprig's and Helm's for YAML and JSON. */
export const functions: ReadonlyMap<string, TemplateFunction> = new Map(
  tables.flatMap((table) =>
    Object.entries(table).map(([name, [least, most, run]]): [string, TemplateFunction] => [
      name,
      (given) => {
        given.counts(least, most);
        return run(given);
      },
    ]),
  ),
);

const notTheSameTwice = "gives another value each time, so that every store would be deployed anew each time";
const notForTemplates = "reads what a template of a store's values must not";
const notDone = "is not done here; write its result, or make it with functions that are there";

const refused: readonly (readonly [why: string, names: string])[] = [
  [notForTemplates, "env expandenv include tpl getHostByName lookup required"],
  [
    notTheSameTwice,
    `now ago date dateInZone date_in_zone dateModify date_modify mustDateModify must_date_modify htmlDate htmlDateInZone
     unixEpoch toDate mustToDate duration durationRound uuidv4 randAlpha randAlphaNum randNumeric randAscii randBytes randInt
     shuffle genPrivateKey genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey
     buildCustomCert derivePassword bcrypt htpasswd encryptAES`,
  ],
  [
    notDone,
    `call js decryptAES urlParse urlJoin toToml fromToml mustRegexFind mustRegexFindAll mustRegexReplaceAll mustRegexReplaceAllLiteral
     mustRegexSplit regexFind regexFindAll regexReplaceAll regexReplaceAllLiteral regexSplit plural wrap wrapWith osBase osDir
     osClean osExt osIsAbs`,
  ],
];

const reasons = new Map(
  refused.flatMap(([why, names]) => names.split(/\s+/).map((name): [string, string] => [name, why])),
);

/** Why a function cannot be called; undefined when it can. */
export function refusal(name: string): string | undefined {
  if (functions.has(name) || name === "and" || name === "or") return undefined;
  const why = reasons.get(name);
  return why === undefined ? `there is no function ${name}` : `${name} ${why}`;
}
