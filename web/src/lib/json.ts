const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
/** A whole number of 16 digits or more, which a JavaScript number cannot hold. */
const LONG = /^-?\d{16,}$/;

/** Reads JSON without breaking ids: whole numbers too long for a JavaScript number come out as text. */
export function parseJson(text: string): unknown {
  const safe = /\d{16}/.test(text) ? text.replace(STRING_OR_NUMBER, (part) => (LONG.test(part) ? `"${part}"` : part)) : text;
  return JSON.parse(safe);
}
