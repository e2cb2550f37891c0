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
  /** How it is drawn: in magnitudes a flux that is not significant is a limit. */
  kind: 'detection' | 'forced' | 'limit';
  band: string;
  mjd: number;
  y: number;
  err: number | null;
  row: Row;
}

export type Unit = 'mag' | 'flux';

/** Below as many sigma a flux is drawn as a limit of so many sigma in magnitudes, as the ZTF forced photometry guide has it (Masci et al. 2023). */
const [SIGNIFICANT, LIMIT] = [3, 5];
/** AB magnitude of 1 nJy. */
const ZERO_POINT = 31.4;

/** What can be drawn of a light curve: no magnitude of a negative flux, no flux of a limit. */
export function points(rows: Row[], unit: Unit): Point[] {
  const found = rows.flatMap((row) => (unit === 'flux' ? inFlux(row) : inMag(row)) ?? []);
  return found.filter((point) => Number.isFinite(point.y)).sort((a, b) => a.mjd - b.mjd);
}

const point = (row: Row, kind: Point['kind'], y: number | null | undefined, err: number | null | undefined): Point | null =>
  y == null ? null : { kind, band: row['band'] ?? '?', mjd: row['mjd_tai'], y, err: Number.isFinite(err) ? err! : null, row };

const inFlux = (row: Row): Point | null => point(row, row['kind'], row['psf_flux'], row['psf_flux_err']);

function inMag(row: Row): Point | null {
  const { kind, psf_flux: flux, psf_flux_err: err } = row;
  if (kind === 'limit') return point(row, kind, row['limit_mag'], null);
  if (flux != null && err > 0 && Math.abs(flux) < SIGNIFICANT * err) return point(row, 'limit', ZERO_POINT - 2.5 * Math.log10(LIMIT * err), null);
  return point(row, kind, row['mag'], row['mag_err']);
}

/** Magnitudes, unless there would be limits alone though fluxes were measured: of what stays fainter than in the template. */
export const unitOf = (rows: Row[]): Unit =>
  rows.some((row) => row['psf_flux'] != null) && points(rows, 'mag').every((point) => point.kind === 'limit') ? 'flux' : 'mag';

/** How many have a flux, and no place among magnitudes: fainter than in the template. */
export const negatives = (rows: Row[]): number =>
  rows.filter((row) => row['psf_flux'] != null && inMag(row) === null).length;

/** Phases of a period [d], each point twice, so that the wave is seen over the edge. */
export function folded(all: Point[], period: number): Point[] {
  const first = all[0]?.mjd ?? 0;
  const once = all.map((point) => ({ ...point, mjd: ((point.mjd - first) / period) % 1 }));
  return [...once, ...once.map((point) => ({ ...point, mjd: point.mjd + 1 }))].sort((a, b) => a.mjd - b.mjd);
}

/** Whether a column holds numbers to align at the right. Ids are text. */
export const isNumber = (column: Column): boolean => /int|float|double|long|decimal/i.test(column.datatype ?? '');
