import { parseJson } from './json';
import { bearer } from './token';

/** The error of RFC 9457, as the API gives it. */
export interface Problem {
  code: string;
  title: string;
  status: number;
  detail: string;
  hint?: string;
}

export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
  }
}

export type Value = string | number | boolean | null;
export type Row = Record<string, any>;
export type Params = Record<string, string | number | boolean | null | undefined>;

export interface Column {
  name: string;
  unit?: string | null;
  ucd?: string | null;
  description?: string | null;
  datatype?: string | null;
}

export interface Table {
  rows: Row[];
  columns: Column[];
  next: string | null;
  truncated: boolean;
}

/** The address of a place in the API. Empty parameters are left out. */
export function url(path: string, params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
}

/** One part of a path. */
export const part = encodeURIComponent;

/** Asks, and gives the answer as it comes; an answer that is an error is thrown as an `ApiError`. */
export async function ask(address: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, { ...init, headers: { ...bearer(), ...(init.headers as Record<string, string>) } });
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new ApiError({ code: 'unreachable', title: 'No answer', status: 0, detail: 'The broker does not answer. Is it still running?' });
  }
  if (response.ok) return response;
  throw new ApiError(problemOf(response.status, response.statusText, await response.text()));
}

function problemOf(status: number, title: string, text: string): Problem {
  const plain = { code: `http_${status}`, title: title || `Status ${status}`, status, detail: text.slice(0, 300) };
  try {
    return { ...plain, ...(parseJson(text) as Partial<Problem>) };
  } catch {
    return plain;
  }
}

export async function get<T = any>(path: string, params: Params = {}, signal?: AbortSignal): Promise<T> {
  const response = await ask(url(path, params), { headers: { accept: 'application/json' }, signal: signal ?? null });
  return parseJson(await response.text()) as T;
}

export async function send<T = any>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await ask(url(path), { method, headers, body: body === undefined ? null : JSON.stringify(body), signal: signal ?? null });
  const text = await response.text();
  return (text ? parseJson(text) : null) as T;
}

/** Saves what an address answers as a file; by fetch, because a link cannot carry the token. */
export async function download(address: string, name: string): Promise<void> {
  const response = await ask(address);
  save(await response.blob(), name);
}

export function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
