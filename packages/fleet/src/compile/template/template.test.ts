import assert from "node:assert/strict";
import { test } from "node:test";
import { newTemplate } from "./template.ts";

const dot = {
  ClusterName: "store-7",
  ClusterLabels: { region: "eu", "a/b": "c", size: "12" },
  ClusterValues: {
    n: 3,
    big: 1_000_000,
    half: 0.5,
    list: ["a", "b"],
    map: { x: 1, y: { z: "deep" } },
    off: false,
  },
};

const rows: readonly (readonly [template: string, text: string])[] = [
  ["plain $ {} text", "plain $ {} text"],
  ["${ .ClusterName }", "store-7"],
  ["a ${- .ClusterName -} b", "astore-7b"],
  ["a ${- /* gone */ -} b", "ab"],
  ["${/* gone */}x", "x"],
  ['${ index .ClusterLabels "a/b" }', "c"],
  ['${ get .ClusterLabels "none" }|${ get .ClusterLabels "region" }', "|eu"],
  ["${ .ClusterValues.map.y.z }${ (.ClusterValues.map).x }", "deep1"],
  [
    "${ .ClusterValues.big } ${ .ClusterValues.half } ${ .ClusterValues.list } ${ .ClusterValues.map }",
    "1000000 0.5 [a b] map[x:1 y:map[z:deep]]",
  ],
  [
    '${ if eq .ClusterLabels.region "us" }u${ else if eq .ClusterLabels.region "eu" }e${ else }o${ end }',
    "e",
  ],
  ["${ if .ClusterValues.off }a${ else }b${ end }", "b"],
  ["${ with .ClusterValues.map.y }${ .z }${ $.ClusterName }${ else }none${ end }", "deepstore-7"],
  ["${ range $i, $v := .ClusterValues.list }${ $i }=${ $v };${ end }", "0=a;1=b;"],
  ["${ range $k, $v := .ClusterLabels }${ $k },${ end }", "a/b,region,size,"],
  ["${ range list }x${ else }none${ end }", "none"],
  [
    "${ range until 5 }${ if eq . 1 }${ continue }${ end }${ if eq . 3 }${ break }${ end }${ . }${ end }",
    "02",
  ],
  ["${ $x := 1 }${ range until 3 }${ $x = add $x . }${ end }${ $x }", "4"],
  ['${ define "t" }<${ . }>${ end }${ template "t" .ClusterName }${ template "t" 5 }', "<store-7><5>"],
  ['${ block "b" .ClusterName }[${ . }]${ end }', "[store-7]"],
  [
    '${ printf "%5.1f|%-4s|%q|%x|%t|%v|%%" 2.25 "a" "b" 255 true .ClusterValues.list }',
    '  2.3|a   |"b"|ff|true|[a b]|%',
  ],
  ['${ print 1 2 "a" "b" 3 }', "1 2ab3"],
  ["${ println 1 }", "1\n"],
  ['${ len "héé" } ${ len .ClusterValues.list } ${ slice "abcdef" 1 3 }', "5 2 bc"],
  ['${ and 1 0 2 } ${ or 0 "" 7 } ${ not 0 }', "0 7 true"],
  ['${ or true (fail "never") }', "true"],
  ['${ lt 1 2 } ${ ge 2 2 } ${ gt "b" "a" } ${ eq 1 2 3 1 } ${ ne 1 2 }', "true true true true true"],
  ["${ 0x10 } ${ 1_000 } ${ 'a' } ${ -1.5 } ${ `raw \\n` }", "16 1000 97 -1.5 raw \\n"],
  ['${ default "d" "" }${ coalesce "" 0 "c" }${ ternary "y" "n" true }${ empty list }', "dcytrue"],
  [
    '${ trimSuffix "-x" "a-x" } ${ trimAll "-" "--a-b-" } ${ trunc 2 "abc" } ${ trunc -2 "abc" } ${ substr 1 3 "abcd" }',
    "a a-b ab bc bc",
  ],
  [
    '${ replace "." "-" "a.b.c" } ${ contains "b" "abc" } ${ hasPrefix "a" "abc" } ${ repeat 3 "ab" }',
    "a-b-c true true ababab",
  ],
  [
    '${ snakecase "FirstName" } ${ kebabcase "FirstName" } ${ camelcase "first_name" } ${ title "hello world" }',
    "first_name first-name FirstName Hello World",
  ],
  ['${ indent 2 "a\\nb" }${ nindent 1 "c" }', "  a\n  b\n c"],
  ['${ join "," (splitList "-" "a-b-c") } ${ (split "." "x.y")._1 } ${ list 1 2 | join "+" }', "a,b,c y 1+2"],
  [
    '${ sortAlpha (list "b" "a") } ${ uniq (list 1 1 2) } ${ has 2 (list 1 2) } ${ without (list 1 2) 1 } ${ reverse (list 1 2) }',
    "[a b] [1 2] true [2] [2 1]",
  ],
  [
    "${ first (list 1 2) }${ last (list 1 2) }${ rest (list 1 2) }${ initial (list 1 2) }${ concat (list 1) (list 2) }${ append (list 1) 2 }",
    "12[2][1][1 2][1 2]",
  ],
  [
    '${ $d := dict "a" 1 "b" (dict "c" 2) }${ $d.b.c }${ hasKey $d "a" }${ dig "b" "c" "none" $d }${ dig "b" "x" "none" $d }${ keys $d }${ toJson (omit $d "a") }',
    '2true2none[a b]{"b":{"c":2}}',
  ],
  [
    '${ toJson (merge (dict "a" 1) (dict "a" 2 "b" 3)) }${ toJson (mergeOverwrite (dict "a" 1) (dict "a" 2)) }',
    '{"a":1,"b":3}{"a":2}',
  ],
  ["${ toYaml .ClusterValues.map | nindent 2 }", "\n  x: 1\n  'y':\n    z: deep"],
  [
    '${ (fromJson "{\\"a\\": [1]}").a } ${ (fromYaml "a: yes").a } ${ toJson (dict "x" "<&>") }',
    '[1] true {"x":"\\u003c\\u0026\\u003e"}',
  ],
  [
    "${ add 1 2 3 } ${ sub 5 2 } ${ mul 2 3 } ${ div 7 2 } ${ mod 7 2 } ${ max 1 3 2 } ${ min 3 1 } ${ add1 1 }",
    "6 3 6 3 1 3 1 2",
  ],
  [
    '${ floor 1.7 } ${ ceil 1.2 } ${ round 2.345 2 } ${ int "12" } ${ int .ClusterLabels.size | mul 2 } ${ atoi "x" } ${ seq 1 2 7 } ${ untilStep 0 6 2 }',
    "1 2 2.35 12 24 0 1 3 5 7 [0 2 4]",
  ],
  [
    '${ b64enc "hi" }${ b64dec "aGk=" } ${ sha256sum "" | trunc 8 } ${ adler32sum "abc" } ${ b32enc "hi" }',
    "aGk=hi e3b0c442 38600999 NBUQ====",
  ],
  ['${ quote "a" 1 nil } ${ squote "b" } ${ cat "a" "b" } ${ toString 5 }', '"a" "1" \'b\' a b 5'],
  ['${ regexMatch "^s[a-z]+-[0-9]$" .ClusterName } ${ regexQuoteMeta "a.b" }', "true a\\.b"],
  [
    '${ semverCompare "^1.2.0" "1.4.1" } ${ semverCompare ">=1.2, <1.3" "1.3.0" } ${ (semver "v1.2.3-rc.1").Prerelease } ${ semverCompare "~1.2" "1.2.9" }',
    "true false rc.1 true",
  ],
  [
    '${ kindOf 1 }${ kindIs "string" "a" }${ typeOf (dict) } ${ deepEqual (list 1) (list 1) } ${ base "a/b.c" }${ ext "b.c" }${ clean "a/../b" }',
    "inttruemap[string]interface {} true b.c.cb",
  ],
];

for (const [template, text] of rows)
  test(`filled: ${template}`, () => {
    assert.equal(newTemplate(template, { strict: false }).fill(dot), text);
  });

const faults: readonly (readonly [template: string, message: RegExp])[] = [
  ["${ .ClusterLabels.zone }", /^\$\{ \.ClusterLabels\.zone \}: \.ClusterLabels has no key "zone"$/],
  ["${ .ClusterName.x }", /\.ClusterName has no field x: it is string/],
  ["a ${ .x", /it is never closed by \}/],
  ['${ "abc }', /the quote " is never closed/],
  ["${ if true }x", /this if has no end/],
  ["${ end }", /there is nothing that end belongs to/],
  ["${ nothing 1 }", /there is no function nothing/],
  ['${ env "HOME" }', /env reads what a template of a store's values must not/],
  ["${ now }", /gives another value each time/],
  ['${ regexReplaceAll "a" "b" "c" }', /regexReplaceAll is not done here/],
  ['${ "a" | 1 }', /what stands after \| is no function/],
  ["${ $y }", /\$y is not declared/],
  ['${ index .ClusterLabels "none" }', /it has no value/],
  ["${ upper 1 }", /upper wants text as value 1, not int/],
  ["${ upper }", /upper takes 1 value, not 0/],
  ['${ eq 1 "1" }', /eq cannot compare int with string/],
  ['${ printf "%d" "x" }', /printf: %d wants a whole number, not string/],
  ["${ div 1 0 }", /div divides by 0/],
  ["${ break }", /break stands outside of a range/],
  ['${ template "none" }', /no template is defined as "none"/],
  ['${ fail "region is needed" }', /fail says: region is needed/],
  ['${ regexMatch "(" "a" }', /regexMatch cannot read the pattern/],
  ['${ define "r" }${ template "r" }${ end }${ template "r" }', /100 deep in one another/],
  ["${ range until 100000 }${ range until 100000 }x${ end }${ end }", /more than 1000000/],
  ['${ $s := "xxxxxxxxxx" }${ range until 60 }${ $s = cat $s $s }${ end }', /more than 1048576 characters/],
  [
    "${ $l := list 1 }${ range until 60 }${ $l = list $l $l }${ end }${ toJson $l }",
    /more than 1000000 steps|100 deep/,
  ],
];

for (const [template, message] of faults)
  test(`refused: ${template}`, () => {
    assert.throws(() => newTemplate(template, { strict: false }).fill(dot), { name: "StatusError", message });
  });

test("as Fleet, what is absent is written so", () => {
  assert.equal(newTemplate('${ index .ClusterLabels "none" }', { strict: true }).fill(dot), "<no value>");
});

test("blocks that stand too deep in one another are refused when they are read", () => {
  assert.throws(() => newTemplate("${if 1}".repeat(200), { strict: false }), /deep/);
  assert.throws(() => newTemplate(`\${ ${"(".repeat(200)}1${")".repeat(200)} }`, { strict: false }), /deep/);
});
