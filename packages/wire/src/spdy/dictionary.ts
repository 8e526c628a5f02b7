const sized = [
  "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization",
  "cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range",
  "content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since",
  "last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer",
  "transfer-encoding upgrade user-agent vary via warning www-authenticate method get status",
]
  .join(" ")
  .split(" ");
const sizedTail = ["200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"];
const plain = [
  "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505",
  "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden",
  "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable",
  "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT",
  "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public",
  "privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.",
];

/** What both ends of SPDY/3 assume was sent before the first header block (SPDY/3 draft, 2.6.10.1). */
export const headerDictionary: Uint8Array = makeDictionary();

/** Names the dictionary in a zlib header: its Adler-32. */
export const HEADER_DICTIONARY_ADLER = 0xe3c6a7c2;

function makeDictionary(): Uint8Array {
  const text =
    [...sized, ...sizedTail].map((word) => `\0\0\0${String.fromCharCode(word.length)}${word}`).join("") +
    plain.join("");
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** The checksum of zlib (RFC 1950, 8.2). */
export function adler32(bytes: Uint8Array): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return ((b << 16) | a) >>> 0;
}
