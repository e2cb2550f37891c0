// CDS as a reader's browser meets it, without a network: Aladin Lite itself (from npm, for the tests alone), and surveys painted here.
import { readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';

export const VIEWER = 'https://aladin.cds.unistra.fr/AladinLite/api/v3/3.8.2/aladin.js';
const CDS = /^https:\/\/[a-z]+(\.cds)?\.unistra\.fr\//;
const TILE = 512;

/** The colour that each survey's tiles have here. */
export const COLOURS = { 'Pan-STARRS': [200, 60, 40], 'DESI-legacy-surveys': [40, 160, 60], Skymapper: [60, 80, 200], DSS: [180, 160, 40], '2MASS': [150, 50, 170] };

/** The package is a module; what CDS serves is the same as a script that sets `A`. */
function script() {
  const module = readFileSync(new URL('node_modules/aladin-lite/dist/aladin.js', import.meta.url), 'utf8');
  const end = /export\{(\w+) as default\};?\s*$/.exec(module);
  if (!end) throw new Error('aladin-lite ends otherwise than expected');
  return `(() => {${module.slice(0, end.index)};globalThis.A = ${end[1]};})();`;
}

const properties = (name) => `creator_did = ivo://tests/P/${name}
obs_title = ${name}
dataproduct_type = image
hips_version = 1.4
hips_frame = equatorial
hips_order = 9
hips_order_min = 0
hips_tile_width = ${TILE}
hips_tile_format = png
hips_status = public master clonableOnce
`;

const CRC = Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});
const crc = (bytes) => ~bytes.reduce((sum, byte) => (sum >>> 8) ^ CRC[(sum ^ byte) & 0xff], -1) >>> 0;

/** A chunk of PNG (ISO/IEC 15948, section 5.3). */
function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc(body));
  return Buffer.concat([length, body, sum]);
}

/** A square of one colour as PNG. */
function square(size, colour) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(size, 0);
  head.writeUInt32BE(size, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const row = Buffer.concat([Buffer.from([0]), Buffer.from(Array.from({ length: size }, () => colour).flat())]);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: size }, () => row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]);
}

const tiles = Object.fromEntries(Object.entries(COLOURS).map(([name, colour]) => [name, square(TILE, colour)]));
const open = { 'access-control-allow-origin': '*' };

/**
 * Answers for CDS in a tab's context, and notes each request there: `asked` has address and headers. `refuse(url)` says what is not
 * to be reached, `hold(url)` what is never answered.
 */
export async function cds(page, { refuse = () => false, hold = () => false } = {}) {
  const asked = [];
  const viewer = script();
  await page.context().route(CDS, async (route) => {
    const url = route.request().url();
    asked.push({ url, headers: await route.request().allHeaders() });
    if (hold(url)) return;
    if (refuse(url)) return route.abort('connectionrefused');
    if (url === VIEWER) return route.fulfill({ contentType: 'text/javascript', body: viewer });
    const { pathname } = new URL(url);
    const name = pathname.split('/')[1];
    if (pathname.endsWith('/properties') && COLOURS[name]) return route.fulfill({ headers: open, contentType: 'text/plain', body: properties(name) });
    if (/\/Npix\d+\.png$/.test(pathname) && COLOURS[name]) return route.fulfill({ headers: open, contentType: 'image/png', body: tiles[name] });
    return route.fulfill({ status: 404, headers: open, body: '' });
  });
  return asked;
}
