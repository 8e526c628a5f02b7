import { benchChain } from "./bench/fleet.ts";
import { sectionText } from "./bench/report.ts";
console.log(sectionText(await benchChain(Number(process.argv[2]))));
