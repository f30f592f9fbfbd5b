/** Ids of our own making, so that what is made offline has its id at once. */

/** A UUID version 7 (RFC 9562 section 5.7): `now` in milliseconds since 1970, then 74 random bits. */
export function uuid7(now: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(now / 2 ** 32));
  view.setUint32(2, now % 2 ** 32);
  view.setUint8(6, 0x70 | (view.getUint8(6) & 0x0f));
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const LOCAL = "local:";

/** The id of a tag that the server has not made yet: the server gives a tag its id, not we. */
export function localTagId(key: string): string {
  return LOCAL + key;
}

export function isLocal(id: string): boolean {
  return id.startsWith(LOCAL);
}
