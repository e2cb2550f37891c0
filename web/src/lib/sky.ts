const DEG = Math.PI / 180;

/** Longitude and latitude [deg]. */
export interface Place {
  lon: number;
  lat: number;
}

export const wrap360 = (deg: number): number => ((deg % 360) + 360) % 360;

/** ICRS to galactic, J2000 (the Hipparcos catalogue, ESA SP-1200 volume 1, section 1.5.3). */
const GALACTIC = [
  [-0.0548755604162154, -0.873437090234885, -0.4838350155487132],
  [0.4941094278755837, -0.4448296299600112, 0.7469822444972189],
  [-0.8676661490190047, -0.1980763734312015, 0.4559837761750669],
] as const;

/** Mean obliquity of J2000.0 [deg] (IAU 2006). */
const OBLIQUITY = 84381.406 / 3600;
const [SIN_E, COS_E] = [Math.sin(OBLIQUITY * DEG), Math.cos(OBLIQUITY * DEG)];
const ECLIPTIC = [
  [1, 0, 0],
  [0, COS_E, SIN_E],
  [0, -SIN_E, COS_E],
] as const;

type Matrix = readonly (readonly [number, number, number])[];

function turned(place: Place, matrix: Matrix, back: boolean): Place {
  const c = Math.cos(place.lat * DEG);
  const v = [c * Math.cos(place.lon * DEG), c * Math.sin(place.lon * DEG), Math.sin(place.lat * DEG)];
  const at = (i: number, j: number): number => (back ? matrix[j]![i]! : matrix[i]![j]!);
  const [x, y, z] = [0, 1, 2].map((i) => at(i, 0) * v[0]! + at(i, 1) * v[1]! + at(i, 2) * v[2]!) as [number, number, number];
  return { lon: wrap360(Math.atan2(y, x) / DEG), lat: Math.asin(Math.max(-1, Math.min(1, z))) / DEG };
}

export const toGalactic = (icrs: Place): Place => turned(icrs, GALACTIC, false);
export const fromGalactic = (galactic: Place): Place => turned(galactic, GALACTIC, true);
export const toEcliptic = (icrs: Place): Place => turned(icrs, ECLIPTIC, false);
export const fromEcliptic = (ecliptic: Place): Place => turned(ecliptic, ECLIPTIC, true);

/** Great-circle separation [deg]. */
export function separation(a: Place, b: Place): number {
  const [dLat, dLon] = [(b.lat - a.lat) * DEG, (b.lon - a.lon) * DEG];
  const h = Math.sin(dLat / 2) ** 2 + Math.cos(a.lat * DEG) * Math.cos(b.lat * DEG) * Math.sin(dLon / 2) ** 2;
  return (2 * Math.asin(Math.min(1, Math.sqrt(h)))) / DEG;
}

/** Offsets east and north of a centre [arcsec], in the tangent plane. */
export function offsets(place: Place, centre: Place): { east: number; north: number } {
  const [a, d, d0] = [(place.lon - centre.lon) * DEG, place.lat * DEG, centre.lat * DEG];
  const cos = Math.sin(d0) * Math.sin(d) + Math.cos(d0) * Math.cos(d) * Math.cos(a);
  const scale = 3600 / DEG / cos;
  return {
    east: Math.cos(d) * Math.sin(a) * scale,
    north: (Math.cos(d0) * Math.sin(d) - Math.sin(d0) * Math.cos(d) * Math.cos(a)) * scale,
  };
}

/**
 * Mollweide projection, east to the left and `centre` [deg] in the middle: x in -2..2, y in -1..1.
 * Newton's method for 2t + sin 2t = pi sin(lat): Snyder 1987, USGS Professional Paper 1395, page 251.
 */
export function mollweide(place: Place, centre = 0): { x: number; y: number } {
  const lat = place.lat * DEG;
  let t = lat;
  if (Math.abs(lat) > Math.PI / 2 - 1e-9) t = Math.sign(lat) * (Math.PI / 2);
  else {
    for (let i = 0; i < 50; i++) {
      const step = (2 * t + Math.sin(2 * t) - Math.PI * Math.sin(lat)) / (2 + 2 * Math.cos(2 * t));
      t -= step;
      if (Math.abs(step) < 1e-12) break;
    }
  }
  const from = wrap360(place.lon - centre + 180) - 180;
  return { x: (-2 * from * Math.cos(t)) / 180 || 0, y: Math.sin(t) };
}

/** The place at a point of the projection; `null` outside the ellipse. */
export function fromMollweide(x: number, y: number, centre = 0): Place | null {
  if ((x / 2) ** 2 + y ** 2 > 1) return null;
  const t = Math.asin(y);
  const lat = Math.asin(Math.max(-1, Math.min(1, (2 * t + Math.sin(2 * t)) / Math.PI))) / DEG;
  const cos = Math.cos(t);
  const from = cos < 1e-12 ? 0 : (-180 * x) / (2 * cos);
  if (Math.abs(from) > 180 + 1e-9) return null;
  return { lon: wrap360(from + centre), lat };
}

/** Puts the bits of a number at the even places. */
function spread(v: number): number {
  v = (v | (v << 8)) & 0x00ff00ff;
  v = (v | (v << 4)) & 0x0f0f0f0f;
  v = (v | (v << 2)) & 0x33333333;
  return (v | (v << 1)) & 0x55555555;
}

/** The nested HEALPix cell of a place, for orders up to 12 (Gorski et al. 2005, doi:10.1086/427976). */
export function healpix(order: number, place: Place): number {
  const nside = 2 ** order;
  const z = Math.sin(place.lat * DEG);
  const turn = wrap360(place.lon) / 90;
  const last = nside - 1;
  let [face, ix, iy] = [0, 0, 0];
  if (Math.abs(z) <= 2 / 3) {
    const [up, down] = [Math.floor(nside * (0.5 + turn - 0.75 * z)), Math.floor(nside * (0.5 + turn + 0.75 * z))];
    const [a, b] = [up >> order, down >> order];
    face = a === b ? a | 4 : a < b ? a : b + 8;
    ix = down & last;
    iy = last - (up & last);
  } else {
    const quarter = Math.min(3, Math.floor(turn));
    const width = nside * Math.sqrt(3 * (1 - Math.abs(z)));
    const jp = Math.min(last, Math.floor((turn - quarter) * width));
    const jm = Math.min(last, Math.floor((1 - turn + quarter) * width));
    [face, ix, iy] = z > 0 ? [quarter, last - jm, last - jp] : [quarter + 8, jp, jm];
  }
  return face * nside * nside + spread(ix) + 2 * spread(iy);
}

const pad = (n: number, width = 2): string => String(n).padStart(width, '0');

/** Hours or degrees, minutes and seconds, rounded as one number so that no `60.0` appears. */
function sexagesimal(value: number, digits: number): string {
  const unit = 10 ** digits;
  const ticks = Math.round(value * 3600 * unit);
  const seconds = ticks % (60 * unit);
  const minutes = Math.floor(ticks / (60 * unit)) % 60;
  const whole = pad(Math.floor(seconds / unit));
  const rest = digits ? `.${pad(seconds % unit, digits)}` : '';
  return `${pad(Math.floor(ticks / (3600 * unit)))}:${pad(minutes)}:${whole}${rest}`;
}

/** `10:20:30.00 -04:05:06.0` */
export function hms(ra: number, dec: number): string {
  const hours = sexagesimal(wrap360(ra) / 15, 2);
  return `${hours.startsWith('24') ? '00:00:00.00' : hours} ${dec < 0 ? '-' : '+'}${sexagesimal(Math.abs(dec), 1)}`;
}
