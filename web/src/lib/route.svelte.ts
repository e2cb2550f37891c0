/** Where we are: the path without its last slash, and the query. Every state worth sharing is in it. */
export const route = $state({ path: '/', query: new URLSearchParams() });

function look(): void {
  route.path = location.pathname.replace(/\/+$/, '') || '/';
  route.query = new URLSearchParams(location.search);
}

export function go(address: string, replace = false): void {
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  const before = route.path;
  look();
  if (!replace && route.path !== before) scrollTo(0, 0);
}

/** Sets parameters of this page's address; empty ones go. */
export function setQuery(change: Record<string, string | null | undefined>, replace = true): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(change)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  go(location.pathname + (text ? `?${text}` : ''), replace);
}

/** Follows links to our own pages without loading them anew. */
function onClick(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest?.('a');
  if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (link.hash && link.pathname === location.pathname) return;
  if (/^\/(api|metrics|healthz|subjects|schemas|status\.json)(\/|$)/.test(link.pathname)) return;
  event.preventDefault();
  go(link.pathname + link.search + link.hash);
}

export function startRouting(): void {
  look();
  addEventListener('popstate', look);
  document.addEventListener('click', onClick);
}
