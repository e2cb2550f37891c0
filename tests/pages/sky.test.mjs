// Survey images in a real browser, by the viewer that readers' browsers fetch: Aladin Lite, over a stand-in for the network to CDS.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { axe, executable, launch, PHONE, shares, tab } from './browser.mjs';
import { Broker, until } from './broker.mjs';
import { cds, COLOURS, VIEWER } from './cds.mjs';

const SKIP = executable ? false : 'no Chromium';
if (!executable && process.env.CI) throw new Error('no Chromium (apt-get install chromium)');

/** Of the marks: this object, an alert, another object. */
const [SELF, ALERT, OTHER] = [[92, 201, 232], [255, 182, 72], [142, 230, 160]];
const button = (page) => page.getByRole('button', { name: 'Survey images' });
const iframe = (page) => page.locator('iframe');
const viewer = (page) => page.frames().find((frame) => frame.url().endsWith('/sky'));
const place = async (page) => (await viewer(page).locator('#where').innerText()).split(',')[0];
/** What went wrong, but for requests to CDS, and for what its stand-in does not have. */
const wrong = (page) => page.wrong.filter((said) => !/https:\/\/\w+\.cds\.unistra\.fr\//.test(said));
const usual = ({ dec }) => COLOURS[dec > -30 ? 'Pan-STARRS' : 'Skymapper'];

describe('survey images', { skip: SKIP }, () => {
  let broker, browser, object, path;
  before(async () => {
    broker = await Broker.ofServedAlerts();
    browser = await launch();
    const busy = 'SELECT object_id, count(*) AS n FROM alerts WHERE object_id IS NOT NULL GROUP BY object_id ORDER BY n DESC, object_id LIMIT 1';
    const [{ object_id }] = (await broker.get(`sql?query=${encodeURIComponent(busy)}`)).rows;
    object = await broker.get(`objects/${object_id}`);
    path = `/object/${object_id}`;
  });
  after(async () => {
    await browser?.close();
    await broker?.end();
  });

  /** An object's page at its button, with CDS as said. */
  async function at(options = {}, network = {}, of = browser) {
    const page = await tab(of, broker, options, true);
    const asked = await cds(page, network);
    await page.at(path);
    await button(page).waitFor();
    return { page, asked };
  }

  /** The same after a reader asked and the images came. */
  async function shown(options, network) {
    const { page, asked } = await at(options, network);
    await button(page).click();
    await painted(page, usual(object));
    return { page, asked };
  }

  const painted = (page, colour) =>
    until('the images are painted', async () => {
      const [share] = (await iframe(page).count()) ? await shares(page, iframe(page), [colour]) : [0];
      return share > 0.8;
    });

  it('are asked for by the reader alone, and shown by the viewer with what is there', async () => {
    const { page, asked } = await at();
    await page.getByText('Your browser asks CDS in Strasbourg').scrollIntoViewIfNeeded();
    await page.waitForTimeout(1500);
    assert.deepEqual(asked, []);
    assert.deepEqual(page.wrong, []);
    await button(page).click();
    await painted(page, usual(object));
    assert.equal(await iframe(page).getAttribute('title'), `Survey images around ${object.object_id}`);
    const written = (await page.locator('.where .mono').innerText()).replace(/\.\d+/g, '');
    assert.equal((await place(page)).replace(/\.\d+/g, ''), written, 'the viewer stands at the object');
    const [mark] = await shares(page, iframe(page), [SELF]);
    assert.ok(mark > 0.00003, `${mark} of the picture is the mark`);
    assert.equal(await page.locator('svg[aria-label^="Finder chart"]').count(), 1, 'the finder chart stays');
    await iframe(page).click();
    await page.getByText(`this object ${object.object_id}`).waitFor();
    assert.equal(asked[0].url, VIEWER);
    for (const { url, headers } of asked) {
      assert.ok(url === VIEWER || url.startsWith('https://alasky.cds.unistra.fr/'), url);
      assert.equal(headers.referer, undefined, url);
      assert.ok(!JSON.stringify({ url, headers }).includes(broker.token), url);
    }
    assert.deepEqual(wrong(page), []);
  });

  it('come from a document that has nothing of ours', async () => {
    const { page } = await shown();
    const found = await viewer(page).evaluate(async () => {
      const tried = (what) => {
        try {
          return String(what());
        } catch (error) {
          return error.name;
        }
      };
      const api = await fetch('/api/v1/me').then(() => 'answered', (error) => error.name);
      return {
        origin: self.origin,
        session: tried(() => sessionStorage.getItem('pitt-token')),
        local: tried(() => localStorage.getItem('pitt-token')),
        cookie: tried(() => document.cookie),
        page: tried(() => parent.document.title),
        api,
      };
    });
    assert.deepEqual(found, { origin: 'null', session: 'SecurityError', local: 'SecurityError', cookie: 'SecurityError', page: 'SecurityError', api: 'TypeError' });
    assert.equal(await page.evaluate(() => sessionStorage.getItem('pitt-token')), broker.token);
    // What comes from elsewhere than the frame, or has another shape, changes nothing.
    await page.evaluate(() => postMessage({ say: 'failed', why: 'script' }, '*'));
    await viewer(page).evaluate(() => parent.postMessage({ say: 'picked', id: '../../filters' }, '*'));
    await viewer(page).evaluate(() => parent.postMessage({ say: 'failed', why: '<b>no</b>' }, '*'));
    await page.getByText('A click on a mark says what it is.').waitFor();
    assert.equal(await iframe(page).count(), 1);
  });

  it('are not shown outside a page', async () => {
    const page = await tab(browser, broker);
    const asked = await cds(page);
    const answer = await fetch(`${broker.url}/sky`);
    assert.match(answer.headers.get('content-security-policy'), /sandbox allow-scripts;/);
    // Chromium does not open at all what wants both a sandbox and a window group of its own.
    const origin = await page.goto(`${broker.url}/sky`).then(() => page.evaluate(() => self.origin), () => 'null');
    assert.equal(origin, 'null');
    assert.deepEqual(asked, []);
  });

  it('are moved, zoomed and changed by key', async () => {
    const { page } = await shown();
    const frame = viewer(page);
    const width = async () => parseFloat((await frame.locator('#where').innerText()).split(',')[1]);
    const [home, wide] = [await place(page), await width()];
    await frame.locator('#sky').focus();
    await page.keyboard.press('+');
    await until('it is nearer', async () => (await width()) < wide);
    await page.keyboard.press('ArrowUp');
    await until('it moved', async () => (await place(page)) !== home);
    await page.keyboard.press('0');
    await until('it is back', async () => (await place(page)) === home && (await width()) === wide);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await until('the second button zooms out', async () => (await width()) > wide);
    await page.getByLabel('survey').selectOption({ label: 'DSS2' });
    await painted(page, COLOURS.DSS);
    await page.getByText('Digitized Sky Survey').waitFor();
    await page.getByRole('button', { name: 'Close images' }).click();
    assert.equal(await iframe(page).count(), 0);
    await button(page).click();
    await painted(page, COLOURS.DSS);
    assert.deepEqual(wrong(page), []);
  });

  it('mark neighbours where they are, north up and east left, and lead to them', async () => {
    const page = await tab(browser, broker, {}, true);
    await cds(page);
    // The simulated sky is too empty: one neighbour is put into what the archive answers, 30 arcsec east and 20 north.
    const other = { object_id: 'ZTF99aaaaaaa', ra: object.ra + 30 / 3600 / Math.cos((object.dec * Math.PI) / 180), dec: object.dec + 20 / 3600, n_detections: 3, separation_arcsec: 36.06 };
    await page.route('**/neighbours?*', async (route) => {
      const answer = await route.fetch();
      const table = await answer.json();
      await route.fulfill({ json: { ...table, rows: [...table.rows, other] } });
    });
    await page.at(path);
    await button(page).click();
    await painted(page, usual(object));
    const [mark] = await shares(page, iframe(page), [OTHER]);
    assert.ok(mark > 0.00003, `${mark} of the picture is its mark`);
    const { width } = await iframe(page).boundingBox();
    const scale = width / 132;
    await iframe(page).click({ position: { x: width / 2 - 30 * scale, y: width / 2 - 20 * scale } });
    const link = page.locator('[role=status]').getByRole('link', { name: other.object_id });
    assert.equal(await link.getAttribute('href'), `/object/${other.object_id}`);
  });

  it("show where an alert was, on the alert's page", async () => {
    const page = await tab(browser, broker);
    await cds(page);
    await page.at(`/alert/${object.last_alert_id}?survey=${object.survey}`);
    await button(page).click();
    await painted(page, usual(object));
    const [mark] = await shares(page, iframe(page), [ALERT]);
    assert.ok(mark > 0.00003, `${mark} of the picture is its mark`);
    assert.deepEqual(await axe(page), []);
  });

  it('come by themselves where a reader always wants them, once they are in view', async () => {
    const { page, asked } = await shown({ viewport: { width: 1366, height: 700 } });
    await page.getByLabel('always ask CDS for them').check();
    asked.length = 0;
    await page.at('/status');
    assert.deepEqual(asked, []);
    await page.at(path);
    await button(page).waitFor();
    await page.waitForTimeout(1000);
    assert.deepEqual(asked, [], 'they are below what is seen');
    await button(page).scrollIntoViewIfNeeded();
    await painted(page, usual(object));
    await page.getByLabel('always ask CDS for them').uncheck();
    await page.at(path);
    await button(page).waitFor();
  });

  it('are sound in light and dark, on desktops and phones', async () => {
    for (const [look, options] of Object.entries({ light: { colorScheme: 'light' }, dark: { colorScheme: 'dark' }, phone: { ...PHONE, colorScheme: 'dark' } })) {
      const { page } = await shown(options);
      assert.deepEqual(await axe(page), [], look);
      assert.deepEqual(await axe(viewer(page)), [], `${look}, in the frame`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= page.viewportSize().width, `${look}: ${wide} px`);
      if (process.env.PITT_PICTURES) await page.screenshot({ path: `${process.env.PITT_PICTURES}/sky-${look}.png`, fullPage: true });
      await page.context().close();
    }
  });

  it('leave the finder chart and say why when CDS is not to be reached, until it is', async () => {
    let refused = true;
    const { page } = await at({}, { refuse: () => refused });
    await button(page).click();
    await page.getByText('The viewer at aladin.cds.unistra.fr cannot be reached from here.').waitFor();
    assert.equal(await iframe(page).count(), 0);
    assert.equal(await page.locator('svg[aria-label^="Finder chart"]').count(), 1);
    assert.deepEqual(await axe(page), []);
    if (process.env.PITT_PICTURES) await page.screenshot({ path: `${process.env.PITT_PICTURES}/sky-refused.png`, fullPage: true });
    refused = false;
    await page.getByRole('button', { name: 'Try again' }).click();
    await painted(page, usual(object));
    assert.equal(await page.getByText('cannot be reached').count(), 0);
  });

  it('are given up when CDS does not answer', async () => {
    const { page } = await at({}, { hold: () => true });
    await button(page).click();
    await page.getByText('Asking CDS for images').waitFor();
    if (process.env.PITT_PICTURES) await page.screenshot({ path: `${process.env.PITT_PICTURES}/sky-waiting.png`, fullPage: true });
    await page.getByText(/CDS did not answer within \d+ seconds/).waitFor();
    assert.equal(await iframe(page).count(), 0);
  });

  it('say when a survey is not to be had, and another may be chosen', async () => {
    const { page } = await at({}, { refuse: (url) => /Pan-STARRS|Skymapper/.test(url) });
    await button(page).click();
    await page.getByText('CDS gives none of this survey here').waitFor();
    await page.getByLabel('survey').selectOption({ label: 'DSS2' });
    await painted(page, COLOURS.DSS);
    assert.equal(await page.getByText('CDS gives none').count(), 0);
  });

  it('are not asked for by a browser that cannot show them', async () => {
    const old = await launch('--disable-3d-apis');
    try {
      const { page, asked } = await at({}, {}, old);
      await button(page).click();
      await page.getByText('This browser has no WebGL 2').waitFor();
      assert.deepEqual(asked, []);
      assert.equal(await iframe(page).count(), 0);
    } finally {
      await old.close();
    }
  });

  it('are not offered where the settings say so', async () => {
    const without = await Broker.ofServedAlerts({ PITT_HTTP_SKY_IMAGES: 'false' });
    try {
      const page = await tab(browser, without);
      const learned = page.waitForResponse((response) => response.url().endsWith('/api/v1/me'));
      await page.at(path);
      assert.equal((await (await learned).json()).sky_images, false);
      await page.locator('svg[aria-label^="Finder chart"]').waitFor();
      assert.equal(await button(page).count(), 0);
      assert.deepEqual(page.wrong, []);
    } finally {
      await without.end();
    }
  });
});
