// The token stays in this tab (or this browser, if asked to) and goes out as a header, never as a cookie.
const KEY = 'pitt-token';

export function token(): string | null {
  return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
}

export function setToken(text: string, remember: boolean): void {
  forgetToken();
  if (text) (remember ? localStorage : sessionStorage).setItem(KEY, text);
}

export function forgetToken(): void {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
}

export function bearer(): Record<string, string> {
  const text = token();
  return text ? { authorization: `Bearer ${text}` } : {};
}

/** Takes the token out of the address that the program prints (`#token=..`), and out of the history. */
export function takeToken(): void {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return;
  setToken(decodeURIComponent(found[1] ?? ''), false);
  history.replaceState(null, '', location.pathname + location.search);
}
