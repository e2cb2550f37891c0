import type { Column, Row } from './api';

/** Rubin's colours of bands (RTN-045, rtn-045.lsst.io), for light and dark ground, green and near-black made easier to see. */
const COLOURS: Record<string, [string, string]> = {
  u: ['#1600ea', '#56b4ff'],
  g: ['#17860f', '#4ade80'],
  r: ['#c22626', '#ff6b6b'],
  i: ['#8a4b08', '#ffb454'],
  z: ['#9333c9', '#c99bff'],
  y: ['#3f7f90', '#8fd7e6'],
};
export const BANDS = Object.keys(COLOURS);

/** Corners of a band's symbol around its middle, `y` down, all about as large as a disc of radius 1; of `u`, and of none, a disc. */
const SYMBOLS: Record<string, [number, number][]> = {
  g: [[0, -1.35], [1.3, 0.95], [-1.3, 0.95]],
  r: [[0, 1.35], [1.3, -0.95], [-1.3, -0.95]],
  i: [[-0.95, -0.95], [0.95, -0.95], [0.95, 0.95], [-0.95, 0.95]],
  z: around(5, 1.5, 0.65),
  y: around(5, 1.15),
};

function around(points: number, far: number, near = 0): [number, number][] {
  const radii = near ? [far, near] : [far];
  const all = points * radii.length;
  return Array.from({ length: all }, (_, k) => {
    const [angle, radius] = [(2 * Math.PI * k) / all, radii[k % radii.length]!];
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

/** The shape that tells a band also without its colour (RTN-045, symbols): `null` is a disc. */
export const bandSymbol = (band: string): [number, number][] | null => SYMBOLS[band] ?? null;

export const bandColour = (band: string, dark: boolean): string => (COLOURS[band] ?? ['#555f68', '#aab4bd'])[dark ? 1 : 0];

/** Pixel scale of a survey's stamps [arcsec]: ZTF's camera (Dekany et al. 2020), LSSTCam (LSE-163). The packets do not say it. */
const PIXEL: Record<string, number> = { ztf: 1.01, lsst: 0.2 };
export const pixelScale = (survey: string): number | null => PIXEL[survey] ?? null;

export interface Point {
  kind: 'detection' | 'forced' | 'limit';
  band: string;
  mjd: number;
  y: number;
  err: number | null;
  row: Row;
}

export type Unit = 'mag' | 'flux';

/** What can be drawn of a light curve: no magnitude of a negative flux, no flux of a limit. */
export function points(rows: Row[], unit: Unit): Point[] {
  const found: Point[] = [];
  for (const row of rows) {
    const limit = row.kind === 'limit';
    const y = unit === 'flux' ? row.psf_flux : limit ? row.limit_mag : row.mag;
    if (y === null || y === undefined || !Number.isFinite(y)) continue;
    const err = limit ? null : unit === 'flux' ? row.psf_flux_err : row.mag_err;
    found.push({ kind: row.kind, band: row.band ?? '?', mjd: row.mjd_tai, y, err: Number.isFinite(err) ? err : null, row });
  }
  return found.sort((a, b) => a.mjd - b.mjd);
}

/** Phases of a period [d], each point twice, so that the wave is seen over the edge. */
export function folded(all: Point[], period: number): Point[] {
  const first = all[0]?.mjd ?? 0;
  const once = all.map((point) => ({ ...point, mjd: ((point.mjd - first) / period) % 1 }));
  return [...once, ...once.map((point) => ({ ...point, mjd: point.mjd + 1 }))].sort((a, b) => a.mjd - b.mjd);
}

/** Whether a column holds numbers to align at the right. Ids are text. */
export const isNumber = (column: Column): boolean => /int|float|double|long|decimal/i.test(column.datatype ?? '');
