/** Names of fields that hold card data or what stands for it: these stay where they are and never enter the journal. */
export const cardField: RegExp = /token$|^(pan|cvc|cvv|card_?number)$/i;

/** A payment token, or digits in the groups of a card's number. */
const inText = /\btok_\w+|\b\d(?:[ -]?\d){12,18}\b/g;

/** A text that somebody else wrote, fit to leave the store: tokens and card numbers in it are taken out. */
export function withoutCardData(text: string): string {
  return text.replace(inText, (found) =>
    found.startsWith("tok_") || isCardNumber(found) ? "[removed]" : found,
  );
}

/** The check digit of ISO/IEC 7812-1, annex B: nine of ten other numbers of that length fail it. */
function isCardNumber(text: string): boolean {
  const digits = text.replaceAll(/\D/g, "");
  let sum = 0;
  for (let at = 0; at < digits.length; at += 1) {
    const digit = Number(digits.at(-1 - at)) * (at % 2 === 0 ? 1 : 2);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}
