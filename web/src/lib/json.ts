// A string, or a whole number of 16 digits or more, which a JavaScript number cannot hold.
const STRING_OR_LONG = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;

/** Reads JSON without breaking ids: whole numbers too long for a JavaScript number come out as text. */
export function parseJson(text: string): unknown {
  const safe = /\d{16}/.test(text) ? text.replace(STRING_OR_LONG, (part) => (part[0] === '"' ? part : `"${part}"`)) : text;
  return JSON.parse(safe);
}
