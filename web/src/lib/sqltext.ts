export interface Name {
  label: string;
  kind: string;
  type?: string | null;
  unit?: string | null;
  doc?: string | null;
  signature?: string | null;
}

export interface Trouble {
  line: number;
  column: number;
  end_column?: number | null;
  message: string;
  suggestion?: string | null;
}

export type TokenKind = 'comment' | 'string' | 'number' | 'keyword' | 'function' | 'name' | 'other';

const KEYWORDS = new Set(
  'select from where and or not in between like is null case when then else end cast as group by order limit having join left right inner outer on asc desc distinct union all with count true false explain describe show'.split(' '),
);
const TOKEN = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*(?:'|$))|("(?:[^"]|"")*(?:"|$))|(\d+\.?\d*(?:[eE][+-]?\d+)?)|([A-Za-z_][\w]*)(\s*\()?|([^\w'"-]+|-)/g;

/** Splits SQL into pieces to colour; together they are the text again. */
export function pieces(text: string): { kind: TokenKind; text: string }[] {
  const found: { kind: TokenKind; text: string }[] = [];
  for (const match of text.matchAll(TOKEN)) {
    const [whole, comment, string, , number, word, call] = match;
    if (comment !== undefined) found.push({ kind: 'comment', text: whole });
    else if (string !== undefined) found.push({ kind: 'string', text: whole });
    else if (number !== undefined) found.push({ kind: 'number', text: whole });
    else if (word !== undefined) {
      const kind = KEYWORDS.has(word.toLowerCase()) ? 'keyword' : call ? 'function' : 'name';
      found.push({ kind, text: word });
      if (call) found.push({ kind: 'other', text: call });
    } else found.push({ kind: 'other', text: whole });
  }
  return found;
}

/** The name that is being written before a place in a text, dots included; empty inside comments and strings. */
export function wordBefore(text: string, at: number): string {
  const line = text.slice(text.lastIndexOf('\n', at - 1) + 1, at);
  if (line.includes('--') || (line.split("'").length - 1) % 2 === 1) return '';
  return /[A-Za-z_][\w.]*$/.exec(line)?.[0] ?? '';
}

/** Names that fit what is written: those that begin with it, then those with a part that does, then those that hold it. */
export function completions(names: Name[], word: string, most = 12): Name[] {
  const wanted = word.toLowerCase();
  const rank = (label: string): number => {
    const text = label.toLowerCase();
    if (text.startsWith(wanted)) return 0;
    if (text.split(/[._]/).some((piece) => piece.startsWith(wanted))) return 1;
    return text.includes(wanted) ? 2 : 3;
  };
  return names
    .map((name) => ({ name, rank: rank(name.label) }))
    .filter((one) => one.rank < 3)
    .sort((a, b) => a.rank - b.rank || a.name.label.length - b.name.label.length || a.name.label.localeCompare(b.name.label))
    .slice(0, most)
    .map((one) => one.name);
}
