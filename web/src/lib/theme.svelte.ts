type Choice = 'auto' | 'light' | 'dark';
const KEY = 'pitt-theme';
const system = matchMedia('(prefers-color-scheme: dark)');

/** Light or dark: as the system prefers, unless chosen otherwise here. */
export const theme = $state({ choice: 'auto' as Choice, dark: system.matches });

function show(): void {
  theme.dark = theme.choice === 'auto' ? system.matches : theme.choice === 'dark';
  if (theme.choice === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.choice;
}

export function startTheme(): void {
  const kept = localStorage.getItem(KEY);
  if (kept === 'light' || kept === 'dark') theme.choice = kept;
  system.addEventListener('change', show);
  show();
}

/** The other of the two; what the system prefers is kept as "automatic". */
export function toggleTheme(): void {
  const wanted = theme.dark ? 'light' : 'dark';
  theme.choice = (wanted === 'dark') === system.matches ? 'auto' : wanted;
  if (theme.choice === 'auto') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme.choice);
  show();
}

/** The value of a colour of the design system, for drawing on canvas. */
export function colour(name: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
