import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutCardData } from "./card-data.ts";

for (const { text, want } of [
  { text: "Warning: 97.4 F", want: "Warning: 97.4 F" },
  { text: "card 4242 4242 4242 4242 was refused", want: "card [removed] was refused" },
  { text: "4242424242424241 is no card", want: "4242424242424241 is no card" },
  { text: '{"token":"tok_visa_1"}', want: '{"token":"[removed]"}' },
  { text: "at 1764201600000", want: "at 1764201600000" },
])
  test(`${text} leaves the store as ${want}`, () => assert.equal(withoutCardData(text), want));
