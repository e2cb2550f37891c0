// What a page and the viewer of survey images (in a frame of another origin) tell each other, and what they believe of it.

/** Something to be marked. */
export interface Marker {
  id: string;
  /** [deg, ICRS] */
  ra: number;
  dec: number;
  /** `self`: what the page is about; `alert`: where one alert was; `other`: something else of the archive. */
  kind: 'self' | 'alert' | 'other';
}

/** From the page: what to show. */
export interface View {
  say: 'show';
  /** An id of `surveys.ts`. */
  survey: string;
  /** Middle of the view [deg, ICRS]. */
  ra: number;
  dec: number;
  /** Its width [deg]. */
  fov: number;
  dark: boolean;
  markers: Marker[];
}

/** Why there are no images: the viewer's script or its images did not come, or it did not start. */
export type Why = 'script' | 'images' | 'viewer';

/** From the viewer. */
export type Told = { say: 'ready' } | { say: 'shown'; ra: number; dec: number } | { say: 'failed'; why: Why } | { say: 'picked'; id: string };

const MOST_MARKERS = 2000;
const MOST_LETTERS = 200;

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= MOST_LETTERS;
const isWithin = (value: unknown, from: number, to: number): value is number => typeof value === 'number' && value >= from && value <= to;
const isPlace = (one: { ra?: unknown; dec?: unknown }): boolean => isWithin(one.ra, 0, 360) && isWithin(one.dec, -90, 90);
const isOneOf = (value: unknown, words: readonly string[]): boolean => words.includes(value as string);

function fields(data: unknown): Record<string, unknown> | null {
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : null;
}

function isMarker(data: unknown): data is Marker {
  const one = fields(data);
  return one !== null && isText(one['id']) && isPlace(one) && isOneOf(one['kind'], ['self', 'alert', 'other']);
}

/** A message as what to show; `null` when it is anything else. */
export function viewOf(data: unknown): View | null {
  const one = fields(data);
  if (one?.['say'] !== 'show' || !isText(one['survey']) || !isPlace(one) || typeof one['dark'] !== 'boolean') return null;
  const { fov, markers } = one;
  const good = isWithin(fov, 1e-4, 180) && Array.isArray(markers) && markers.length <= MOST_MARKERS && markers.every(isMarker);
  return good ? (data as View) : null;
}

/** A message as what the viewer says; `null` when it is anything else. */
export function toldOf(data: unknown): Told | null {
  const one = fields(data);
  const good =
    one?.['say'] === 'ready' ||
    (one?.['say'] === 'shown' && isPlace(one)) ||
    (one?.['say'] === 'failed' && isOneOf(one['why'], ['script', 'images', 'viewer'])) ||
    (one?.['say'] === 'picked' && isText(one['id']));
  return good ? (data as Told) : null;
}
