import type { Component } from 'svelte';

export interface Page {
  title: string;
  props: Record<string, string>;
  load: () => Promise<{ default: Component<any> }>;
}

const PAGES: [RegExp, (id: string) => string, Page['load']][] = [
  [/^\/$/, () => 'Tonight', () => import('../pages/Tonight.svelte')],
  [/^\/object\/([^/]+)$/, (id) => id, () => import('../pages/Object.svelte')],
  [/^\/alert\/([^/]+)$/, (id) => `Alert ${id}`, () => import('../pages/Alert.svelte')],
  [/^\/filters$/, () => 'Filters', () => import('../pages/Filters.svelte')],
  [/^\/filters\/([^/]+)$/, (id) => id, () => import('../pages/Filter.svelte')],
  [/^\/live\/([^/]+)$/, (id) => `${id}, live`, () => import('../pages/Live.svelte')],
  [/^\/search$/, () => 'Search', () => import('../pages/Search.svelte')],
  [/^\/sql$/, () => 'SQL', () => import('../pages/Sql.svelte')],
  [/^\/status$/, () => 'Status', () => import('../pages/Status.svelte')],
  [/^\/docs(?:\/.*)?$/, () => 'API', () => import('../pages/Docs.svelte')],
];

/** The page of a path. */
export function pageOf(path: string): Page {
  for (const [pattern, title, load] of PAGES) {
    const found = pattern.exec(path);
    if (!found) continue;
    const id = text(found[1] ?? '');
    return { title: title(id), props: found[1] === undefined ? {} : { id }, load };
  }
  return { title: 'Nothing here', props: {}, load: () => import('../pages/Nothing.svelte') };
}

/** Fetches the code of every page, so that going to one takes no time and needs no broker. */
export function fetchAll(): void {
  for (const [, , load] of PAGES) load().catch(() => {});
}

function text(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
