// Walks every page in a real browser over the real program, and compares what stands there with the API.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { axe, executable, launch, PHONE, tab } from './browser.mjs';
import { Broker, root, until } from './broker.mjs';

const real = join(process.env.PITT_TEST_DATA ?? join(root, '../shared/data'), 'ztf/nightly');
const SKIP = executable ? false : 'no Chromium';
if (!executable && process.env.CI) throw new Error('no Chromium (apt-get install chromium)');

const LOOKS = [
  ['desktop, light', { colorScheme: 'light' }],
  ['desktop, dark', { colorScheme: 'dark' }],
  ['phone, light', { ...PHONE, colorScheme: 'light' }],
  ['phone, dark', { ...PHONE, colorScheme: 'dark' }],
];
const number = (text) => Number(text.replace(/[^\d.-]/g, ''));

/** What the pages are asked to show: an object with a light curve, an alert of it, a filter. */
async function subjects(broker) {
  const counted = 'SELECT object_id, count(*) AS n FROM alerts WHERE object_id IS NOT NULL GROUP BY object_id ORDER BY n DESC, object_id LIMIT 50';
  let object = null;
  for (const { object_id } of (await broker.get(`sql?query=${encodeURIComponent(counted)}`)).rows) {
    object = await broker.get(`objects/${encodeURIComponent(object_id)}`);
    if (object.stamps_alert_id) break;
  }
  const filters = (await broker.get('filters')).filters;
  const filter = filters.find((one) => one.matches > 0) ?? filters[0];
  return { object, filter };
}

const pathsOf = ({ object, filter }) => ({
  tonight: '/',
  object: `/object/${encodeURIComponent(object.object_id)}`,
  'object in flux': `/object/${encodeURIComponent(object.object_id)}?unit=flux&stretch=log`,
  alert: `/alert/${object.last_alert_id}?survey=${object.survey}`,
  ...(filter && { filters: '/filters', filter: `/filters/${filter.name}`, 'new filter': '/filters/new', live: `/live/${filter.name}` }),
  search: '/search',
  cone: `/search?ra=${object.ra}&dec=${object.dec}&radius=120`,
  sql: `/sql?query=${encodeURIComponent('SELECT alert_id, object_id, ra, dec, band, psf_flux FROM alerts')}`,
  status: '/status',
  api: '/docs',
  nothing: '/no/such/page',
});

/** Every page in every look: nothing wrong in the console, no other host, nothing wider than the screen, nothing that axe finds. */
async function walk(browser, broker, about) {
  for (const [look, options] of LOOKS) {
    const page = await tab(browser, broker, options);
    for (const [name, path] of Object.entries(pathsOf(about))) {
      await page.at(path);
      await page.waitForTimeout(700);
      // Not `innerWidth`: on a phone the view grows with a page that is too wide.
      const screen = page.viewportSize().width;
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= screen, `${name}, ${look}: ${wide} px wide on a screen of ${screen}`);
      assert.deepEqual(await axe(page), [], `${name}, ${look}`);
      // What is no page is answered with 404, which Chromium notes; it is the last of them.
      const wrong = page.wrong.filter((said) => !(name === 'nothing' && said.includes('404') && said.endsWith(path)));
      assert.deepEqual(wrong, [], `${name}, ${look}`);
      assert.equal(await page.locator('.problem').count(), 0, `${name}, ${look}: ${await page.locator('.problem').allInnerTexts()}`);
    }
    await page.context().close();
  }
}

const hasMag = (row) => row.mag !== null;
const isBright = (row) => row.psf_flux !== null && row.psf_flux >= 3 * row.psf_flux_err;

/** Opens an object's page and compares its light curve with the API's answer to it, which is given: more alerts come meanwhile. */
async function lightCurve(page, path) {
  const answer = page.waitForResponse((response) => response.url().endsWith('/lightcurve'));
  await page.at(path);
  const { rows } = await (await answer).json();
  const chart = page.locator('.chart');
  await until('the light curve is drawn', async () => /detections/.test(await chart.getAttribute('aria-label')));
  const unit = rows.some(isBright) ? 'mag' : 'flux';
  await page.locator('button[aria-pressed=true]', { hasText: new RegExp(`^${unit}$`) }).waitFor();
  const drawn = rows.filter((row) => row.kind === 'detection' && (unit === 'flux' ? row.psf_flux !== null : hasMag(row)));
  const label = await chart.getAttribute('aria-label');
  const told = [...label.matchAll(/(\d+) detections/g)].reduce((sum, found) => sum + Number(found[1]), 0);
  assert.equal(told, drawn.length, label);
  return rows;
}

describe('pages over simulated alerts', { skip: SKIP }, () => {
  let broker, browser, about;
  before(async () => {
    broker = await Broker.ofSimulatedAlerts();
    browser = await launch();
    about = await subjects(broker);
  });
  after(async () => {
    await browser?.close();
    await broker?.end();
  });

  
  it('are sound in light and dark, on desktops and phones', () => walk(browser, broker, about));

  it('load in under 300 kB, and nothing moves while they do', async () => {
    const page = await tab(browser, broker);
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    const sizes = new Map();
    const urls = new Map();
    session.on('Network.responseReceived', ({ requestId, response }) => urls.set(requestId, response.url));
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => sizes.set(requestId, encodedDataLength));
    await page.addInitScript(() => {
      window.shift = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shift += entry.value))).observe({ type: 'layout-shift', buffered: true });
    });
    await page.at('/');
    await page.waitForTimeout(1500);
    const files = [...sizes].filter(([id]) => !urls.get(id)?.includes('/api/'));
    const total = files.reduce((sum, [, size]) => sum + size, 0);
    assert.ok(files.length >= 3 && total < 300_000, `${files.length} files, ${total} bytes`);
    const shift = await page.evaluate(() => window.shift);
    assert.ok(shift < 0.1, `layout shift ${shift}`);
  });

  it('show tonight as the API tells it', async () => {
    const page = await tab(browser, broker);
    await page.at('/');
    await page.getByText('It balances').waitFor();
    await until('the night is the newest of the API, once it has a commit', async () => {
      const [{ night }] = (await broker.get('nights')).nights;
      return (await page.locator('main h1').innerText()).includes(String(night).replace(/(\d{4})(\d\d)(\d\d)/, '$1-$2-$3'));
    });
    await until('the count stored is that of the API', async () => {
      const stored = (await broker.get('nights')).nights[0].stored;
      const there = number(await page.locator('dl div', { hasText: 'stored' }).locator('dd').innerText());
      return Math.abs(there - stored) <= 60 && there > 0;
    });
    const { filters } = await broker.get('filters');
    for (const filter of filters) await page.locator('.filters').getByText(filter.name, { exact: true }).waitFor();
    await until('rates are drawn', async () => (await page.locator('section svg path[fill="none"]').count()) >= 1);
    const painted = await page.locator('figure canvas').evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set();
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
      return colours.size;
    });
    assert.ok(painted > 3, `${painted} colours on the map`);
    assert.deepEqual(page.wrong, []);
  });

  it('show the night of the past that the address names, and nothing of tonight', async () => {
    const { nights } = await broker.get('nights');
    const page = await tab(browser, broker);
    await page.at(`/?night=${nights[1].night}`);
    const tile = (name) => page.locator('.numbers dl div', { has: page.getByText(name, { exact: true }) }).locator('dd');
    await until('its count stands there', async () => number(await tile('stored').innerText()) === nights[1].stored);
    assert.equal(number(await tile('matches').innerText()), nights[1].matches);
    assert.equal(number(await tile('in quarantine').innerText()), nights[1].quarantined);
    const loose = nights.find((one) => one.night === null);
    if (loose) assert.equal(number(await tile('in quarantine, no night').innerText()), loose.quarantined);
    assert.equal(await page.getByText('Alerts per second').count(), 0, 'rates are of now');
    const { filters } = await broker.get(`nights/${nights[1].night}`);
    for (const [name, matches] of Object.entries(filters)) {
      const row = page.locator('.filters li', { has: page.getByText(name, { exact: true }) });
      await until(`the matches of ${name}`, async () => number(await row.locator('.n').innerText()) === matches);
    }
    const { rows } = await broker.get(`matches?night=${nights[1].night}&limit=40`);
    const listed = new Set(rows.map((row) => `${row.filter} ${row.survey} ${row.alert_id}`)).size;
    await until('its matches are listed', async () => (await page.locator('.feed li').count()) === listed);
    await page.getByText(`${nights[1].received.toLocaleString('en-GB')} received`).waitFor();
  });

  it('show what each filter took, ever and tonight', async () => {
    const page = await tab(browser, broker);
    await page.at('/filters');
    for (const { name } of (await broker.get('filters')).filters) {
      const cells = page.locator('tbody tr', { has: page.getByRole('link', { name, exact: true }) }).locator('td.n');
      await until(`the counts of ${name}`, async () => {
        const { matches, matches_tonight } = await broker.get(`filters/${name}`);
        return number(await cells.nth(0).innerText()) === matches_tonight && number(await cells.nth(1).innerText()) === matches;
      });
    }
  });

  it('show an object with its light curve, images and values', async () => {
    const { object } = about;
    const page = await tab(browser, broker);
    const id = object.stamps_alert_id ?? object.last_alert_id;
    const curve = await lightCurve(page, `/object/${object.object_id}?alert=${id}`);
    const { x, y, width, height } = await page.locator('.chart .u-over').boundingBox();
    await page.mouse.move(x + 0.2 * width, y + 0.2 * height);
    await page.mouse.down();
    await page.mouse.move(x + 0.6 * width, y + 0.7 * height, { steps: 4 });
    await page.mouse.up();
    await page.getByRole('button', { name: 'Whole' }).click();
    await page.getByRole('button', { name: 'Whole' }).waitFor({ state: 'hidden' });
    await until('three images are there', async () => (await page.locator('.big canvas:not(.gone)').count()) === 3);
    const greys = await page.locator('.big canvas').first().evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return new Set(data.filter((_, i) => i % 4 === 0)).size;
    });
    assert.ok(greys > 20, `${greys} greys`);
    await page.getByRole('link', { name: id }).first().waitFor();
    await page.getByLabel('Find a value by name or documentation').fill('band');
    const values = page.locator('[aria-label="Values of the alert"] tbody tr');
    await until('values are found', async () => (await values.count()) > 0);
    await page.getByLabel('Find a value by name or documentation').fill('');
    const alert = await broker.get(`alerts/${id}`);
    const times = { ztf: ['candidate.jd', alert.values.candidate?.jd], lsst: ['diaSource.midpointMjdTai', alert.values.diaSource?.midpointMjdTai] };
    const [name, time] = times[alert.survey];
    const told2 = await values.filter({ hasText: name }).first().locator('.value').innerText();
    assert.ok(Math.abs(Number(told2) - time) < 1e-8, `${name} is ${time}, ${told2} is shown`);
    for (const width of [1366, 390]) {
      await page.setViewportSize({ width, height: 900 });
      const cut = await page.locator('td.value').evaluateAll((cells) => cells.filter((cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.innerText));
      assert.deepEqual(cut, [], `values run over what stands beside them, ${width} px`);
    }
    await page.setViewportSize({ width: 1366, height: 900 });
    const waiting = page.waitForEvent('download');
    await page.getByRole('button', { name: /^Packet/ }).click();
    assert.equal((await waiting).suggestedFilename(), `${id}.avro`);
    const table = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV' }).click();
    assert.equal((await table).suggestedFilename(), `${object.object_id}.csv`);
    const rows = readFileSync(await (await table).path(), 'utf8').trim().split('\n');
    assert.ok(rows.length - 1 >= curve.length, `${rows.length - 1} rows of ${curve.length}`);
    const fits = page.waitForEvent('download');
    await page.getByRole('button', { name: 'FITS of the template image' }).click();
    assert.equal((await fits).suggestedFilename(), `${id}_template.fits`);
    assert.match(readFileSync(await (await fits).path(), 'latin1'), /^SIMPLE  =/);
    const picture = page.waitForEvent('download');
    await page.getByRole('button', { name: 'PNG' }).click();
    assert.equal((await picture).suggestedFilename(), `${object.object_id}.png`);
    await page.getByRole('button', { name: 'flux' }).click();
    assert.match(page.url(), /unit=flux/);
    await page.getByPlaceholder('days').fill('1.5');
    await page.keyboard.press('Tab');
    assert.match(page.url(), /period=1\.5/);
    assert.deepEqual(page.wrong, []);
  });

  it('show what is always fainter than in the template in flux', async () => {
    const faded = 'SELECT object_id FROM alerts WHERE object_id IS NOT NULL GROUP BY object_id HAVING max(psf_flux) < 0 ORDER BY count(*) DESC, object_id LIMIT 20';
    const page = await tab(browser, broker);
    const curves = [];
    for (const { object_id } of (await broker.get(`sql?query=${encodeURIComponent(faded)}`)).rows) {
      curves.push(await lightCurve(page, `/object/${object_id}`));
      if (!curves.at(-1).some(isBright)) break;
    }
    assert.ok(curves.length > 0 && !curves.at(-1).some(isBright), `${curves.length} objects that faded`);
    assert.deepEqual(page.wrong, []);
  });

  it('tell a body of the solar system, which moves, from what stands still', async () => {
    const bodies = 'SELECT lsst.diaSource.ssObjectId AS id FROM lsst WHERE lsst.diaSource.ssObjectId > 0 LIMIT 1';
    const [{ id }] = (await broker.get(`sql?query=${encodeURIComponent(bodies)}`)).rows;
    const page = await tab(browser, broker);
    await page.at(`/object/${id}`);
    await page.locator('h1').getByText('moving').waitFor();
  });

  it('find ids, positions and what is around them', async () => {
    const { object } = about;
    const page = await tab(browser, broker);
    await page.at('/');
    await page.keyboard.press('/');
    await page.keyboard.type(object.last_alert_id);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/(object|alert)\//);
    await page.at(`/search?q=${object.object_id}`);
    await page.waitForURL(new RegExp(`/object/${object.object_id}`));
    await page.at(`/search?q=${encodeURIComponent(`${object.ra} ${object.dec}`)}`);
    await page.waitForURL(/ra=/);
    await page.at(`/search?ra=${object.ra}&dec=${object.dec}&radius=600`);
    const rows = (await broker.get(`conesearch?ra=${object.ra}&dec=${object.dec}&radius=600`)).rows;
    await page.getByRole('link', { name: object.object_id, exact: true }).waitFor();
    const shown = number(await page.locator('[role=grid]').getAttribute('aria-rowcount')) - 1;
    assert.ok(Math.abs(shown - rows.length) <= 3, `${shown} shown, ${rows.length} in the API`);
    await page.at('/search?q=no-such-thing');
    await page.getByText('Nothing found').waitFor();
  });

  it('answer SQL, with ids whole and text as text', async () => {
    const page = await tab(browser, broker);
    const evil = '<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>';
    const query = `SELECT alert_id, '${evil}' AS said FROM alerts ORDER BY alert_id LIMIT 3`;
    await page.at(`/sql?query=${encodeURIComponent(query)}`);
    const { rows } = await broker.get(`sql?query=${encodeURIComponent(query)}`);
    await page.locator('[role=grid]').waitFor();
    for (const row of rows) await page.getByRole('link', { name: row.alert_id, exact: true }).waitFor();
    assert.equal(await page.getByText(evil, { exact: true }).count(), 3);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    await page.at(`/sql?query=${encodeURIComponent('SELECT nonsense FROM alerts')}`);
    await page.locator('.problem').waitFor();
    await page.at(`/object/${encodeURIComponent(evil)}`);
    await page.locator('.problem').waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
  });

  it('scroll a hundred thousand rows, by wheel and by key', async () => {
    const page = await tab(browser, broker);
    const query = 'SELECT a.alert_id, a.ra, a.dec, b.object_id FROM alerts a CROSS JOIN (SELECT object_id FROM alerts LIMIT 60) b LIMIT 100000';
    await page.at(`/sql?limit=100000&query=${encodeURIComponent(query)}`);
    const grid = page.locator('[role=grid]');
    await grid.waitFor({ timeout: 60_000 });
    assert.equal(await grid.getAttribute('aria-rowcount'), '100001');
    const view = page.getByRole('region', { name: 'Rows of the query' });
    const spent = await view.evaluate(async (element) => {
      const frames = [];
      let last = performance.now();
      for (let step = 0; step <= 60; step++) {
        element.scrollTop = (element.scrollHeight * step) / 60;
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - last);
        last = performance.now();
      }
      return frames.sort((a, b) => a - b)[30];
    });
    console.log(`# median frame while 100,000 rows scroll: ${spent.toFixed(1)} ms`);
    assert.ok((await grid.locator('tbody tr').count()) < 100, 'only what is seen is in the page');
    await page.locator('tr[aria-rowindex="100001"]').waitFor();
    await view.focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowDown');
    await page.locator('tr[aria-rowindex="3"][aria-selected=true]').waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/(object|alert)\//);
  });

  it('are moved in by key', async () => {
    const page = await tab(browser, broker);
    await page.at('/');
    for (const [keys, path] of [['gf', '/filters'], ['gs', '/search'], ['gq', '/sql'], ['gb', '/status'], ['gd', '/docs'], ['gt', '/']]) {
      for (const key of keys) await page.keyboard.press(key);
      await page.waitForURL(broker.url + path);
    }
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await page.goBack();
    await page.waitForURL(/docs/);
  });

  it('remember light or dark', async () => {
    const page = await tab(browser, broker, { colorScheme: 'light' });
    await page.at('/status');
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();
    await page.getByRole('button', { name: 'Dark' }).click();
    assert.notEqual(await ground(), light);
    await page.reload();
    await page.locator('main h1').waitFor();
    assert.notEqual(await ground(), light);
    await page.getByRole('button', { name: 'Light' }).click();
    assert.equal(await ground(), light);
  });

  it('take a filter from its first letters to its removal', async () => {
    const page = await tab(browser, broker, {}, true);
    await page.at('/filters/new');
    const editor = page.getByLabel('Text of the filter');
    await editor.fill("-- title: <b>bold</b>\n-- survey: any\nrelability > 0.5");
    await page.getByText('3:1').waitFor();
    await page.locator('.troubles').getByText(/relability/).waitFor();
    assert.equal((await page.locator('.troubles').innerText()).match(/did you mean/g)?.length, 1);
    assert.ok(await page.getByRole('button', { name: 'Save', exact: true }).isDisabled());
    await editor.fill('-- title: <b>bold</b>\n-- survey: any\n');
    await editor.press('End');
    await editor.pressSequentially('reliab');
    await page.getByRole('option').first().waitFor();
    await editor.press('Tab');
    await editor.pressSequentially(' > 0.1');
    await page.getByText('compiles').waitFor();
    assert.match(await editor.inputValue(), /reliability > 0\.1$/);
    await editor.press('Control+Enter');
    await page.getByText('expected each night').waitFor({ timeout: 60_000 });
    assert.ok(number(await page.locator('.facts strong').first().innerText()) > 0);
    await page.getByRole('textbox', { name: 'name', exact: true }).fill('of_tests');
    await page.getByRole('button', { name: 'Save and activate' }).click();
    await page.waitForURL(/filters\/of_tests$/);
    await page.locator('h1').getByText('active').waitFor();
    assert.equal((await broker.get('filters/of_tests')).state, 'active');
    assert.equal(await page.locator('main b').count(), 0, 'a title is text');
    await editor.fill('-- title: second\n-- survey: any\nreliability > 0.2');
    await page.getByRole('button', { name: 'Save and activate' }).click();
    await until('there are two versions', async () => (await page.getByRole('button', { name: 'Compare' }).count()) === 2);
    await page.getByRole('button', { name: 'Compare' }).last().click();
    await page.getByRole('region', { name: 'Differences' }).waitFor();
    const draft = '-- title: third, a draft\n-- survey: any\nreliability > 0.3';
    await editor.fill(draft);
    await page.getByText('compiles').waitFor();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByText('Saved as a draft').waitFor();
    await until('there are three versions', async () => (await page.getByRole('button', { name: /^(Compare|Hide)$/ }).count()) === 3);
    assert.equal(await editor.inputValue(), draft, 'what was saved stays in the editor');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.locator('h1').getByText('paused').waitFor();
    assert.equal((await broker.get('filters/of_tests')).state, 'paused');
    await page.getByRole('button', { name: 'Remove' }).first().click();
    await page.waitForURL(/\/filters$/);
    assert.ok(!(await broker.get('filters')).filters.some((one) => one.name === 'of_tests' && one.state === 'active'));
    assert.deepEqual(page.wrong, []);
  });

  it('send matches to a receiver, from the making of a webhook to its removal', async () => {
    const came = [];
    let status = 204;
    const receiver = createServer(async (request, response) => {
      let body = '';
      for await (const piece of request) body += piece;
      came.push({ headers: request.headers, body, status });
      response.writeHead(status).end();
    });
    await new Promise((done) => receiver.listen(0, '127.0.0.1', done));
    const taken = { text: '-- title: for a receiver\n-- survey: any\nreliability >= 0', activate: true };
    const kept = await fetch(`${broker.url}/api/v1/filters/for_a_receiver`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${broker.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(taken),
    });
    assert.ok(kept.ok, await kept.text());
    const page = await tab(browser, broker, {}, true);
    await page.at('/filters/for_a_receiver');
    await page.getByLabel('Address of a webhook').fill(`http://127.0.0.1:${receiver.address().port}/matches?key=hidden`);
    await page.getByLabel('Note').fill('<b>for a test</b>');
    await page.getByRole('button', { name: 'Add webhook' }).click();
    const secret = await page.locator('.made code').innerText();
    assert.match(secret, /^whsec_/);
    await page.getByRole('button', { name: 'Copy secret' }).waitFor();
    const hook = page.getByRole('list', { name: 'Webhooks' }).getByRole('listitem');
    await hook.getByText('<b>for a test</b>').waitFor();
    await hook.getByRole('button', { name: 'Test' }).click();
    await page.getByText('The test was taken.').waitFor();
    const matches = () => came.filter((one) => one.status === 204).flatMap((one) => JSON.parse(one.body).matches);
    await until('matches come', () => matches().length > 0);
    for (const { headers, body } of came) {
      const signed = createHmac('sha256', secret).update(`${headers['x-pitt-timestamp']}.${body}`).digest('hex');
      assert.equal(headers['x-pitt-signature'], `v1=${signed}`);
    }
    assert.ok(matches().every((row) => row.filter === 'for_a_receiver' && typeof row.alert_id === 'string'));
    assert.deepEqual(await axe(page), []);

    const told = async () => (await broker.get('filters/for_a_receiver/webhooks')).webhooks[0];
    assert.ok(!JSON.stringify(await told()).includes(secret));
    status = 422;
    await hook.getByRole('button', { name: 'Dead letters' }).click({ timeout: 60_000 });
    await hook.locator('.dead').getByText('the receiver answers 422').first().waitFor();
    status = 204;
    await hook.getByRole('button', { name: 'Send again' }).click();
    await until('none is dead', async () => (await told()).failed === 0);
    await hook.getByRole('button', { name: 'Pause' }).click();
    await hook.getByText('paused', { exact: true }).waitFor();
    assert.equal((await told()).state, 'paused');
    await hook.getByRole('button', { name: 'Resume' }).click();
    await hook.getByText('active', { exact: true }).waitFor();
    await page.at('/filters');
    await page.getByText('1 webhook').waitFor();
    await page.at('/status');
    await page.getByText('delivering', { exact: true }).waitFor();
    await page.at('/filters/for_a_receiver');
    await hook.getByRole('button', { name: 'Remove' }).click();
    await until('it is gone', async () => (await told()) === undefined);
    await until('it is not shown', async () => (await hook.count()) === 0);
    assert.deepEqual(page.wrong, []);
    receiver.close();
  });

  it('save the matches of a filter as a table', async () => {
    const page = await tab(browser, broker);
    const { filters } = await broker.get('filters');
    const { name } = filters.reduce((most, one) => (one.matches > most.matches ? one : most));
    await page.at(`/filters/${name}`);
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV' }).click();
    const [head, ...rows] = readFileSync(await (await saved).path(), 'utf8').trim().split('\n');
    assert.ok(head.split(',').includes('alert_id') && rows.length > 0, head);
    assert.ok(rows.every((row) => row.includes(name)));
    assert.deepEqual(page.wrong, []);
  });

  it('show no editor and follow nothing where there is no such filter', async () => {
    const page = await tab(browser, broker);
    await page.at('/filters/no_such_filter');
    await page.getByText('there is no filter').waitFor();
    assert.equal(await page.getByLabel('Text of the filter').count(), 0);
    let asked = 0;
    page.on('request', (request) => (asked += request.url().includes('no_such_filter/events')));
    await page.at('/live/no_such_filter');
    await page.getByText('there is no filter').waitFor();
    await page.getByText('not following').waitFor();
    await page.waitForTimeout(2500);
    assert.ok(asked <= 1, `asked ${asked} times for what is not there`);
  });

  it('say what a token is for when there is none', async () => {
    const page = await tab(browser, broker);
    await page.at('/filters/new');
    await page.getByLabel('Text of the filter').fill('reliability > 0.9');
    await page.getByRole('textbox', { name: 'name', exact: true }).fill('not_allowed');
    await page.getByText('compiles').waitFor();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('link', { name: 'Give a token' }).waitFor();
  });

  it('follow matches live, and catch up after a break', async () => {
    const page = await tab(browser, broker, {}, true);
    const taken = { text: '-- title: all of it\n-- survey: any\nreliability >= 0', activate: true };
    const made = await fetch(`${broker.url}/api/v1/filters/everything`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${broker.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(taken),
    });
    assert.ok(made.ok, await made.text());
    await page.at('/live/everything');
    const rows = page.locator('main li');
    await until('a match comes', async () => (await rows.count()) > 0);
    await page.getByRole('button', { name: 'Pause' }).click();
    const before = await rows.count();
    await page.waitForTimeout(3000);
    assert.equal(await rows.count(), before, 'nothing comes while it is paused');
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByText(/caught up \d+/).waitFor();
    // Those of the last two seconds may be on their way.
    await until('none is lost', async () => {
      const { rows: all } = await broker.get('matches?filter=everything&limit=300');
      const shown = await page.locator('main li .who > a').evaluateAll((links) => links.map((link) => new URL(link.href).searchParams.get('alert') ?? link.pathname.split('/').pop()));
      const oldest = all.findIndex((row) => row.alert_id === shown.at(-1));
      return oldest >= 0 && all.slice(0, oldest + 1).every((row) => shown.includes(row.alert_id) || row.matched_us >= all[0].matched_us - 2e6);
    });
    assert.deepEqual(page.wrong, []);
  });

  it('tell how the broker is, and what was put aside', async () => {
    const page = await tab(browser, broker);
    await page.at('/status');
    await page.getByText('It balances').waitFor();
    const { nights } = await broker.get('nights');
    for (const { night } of nights.filter((one) => one.night)) await page.getByRole('link', { name: String(night).replace(/(\d{4})(\d\d)(\d\d)/, '$1-$2-$3') }).waitFor();
    await page.getByRole('region', { name: 'Stages' }).locator('tbody tr').nth(1).waitFor();
  });

  it('read again what was put aside, and say what came of it', async () => {
    const nobody = await tab(browser, broker);
    await nobody.at('/status');
    const { reasons } = await broker.get('quarantine/reasons');
    const name = `Read again: packets with reason ${reasons[0].reason}`;
    assert.ok(await nobody.getByRole('button', { name }).isDisabled());
    const page = await tab(browser, broker, {}, true);
    await page.at('/status');
    await page.getByRole('button', { name }).click();
    await page.getByText(new RegExp(`reason ${reasons[0].reason}, tried again .*still not: [0-9]+ ${reasons[0].reason}`)).waitFor();
    const last = await broker.get('quarantine/retry');
    assert.equal(last.state, 'done');
    assert.equal(last.by, 'tests');
    assert.deepEqual(page.wrong, []);
  });

  it('have a page for every path of the API', async () => {
    const page = await tab(browser, broker);
    await page.at('/docs');
    const { paths } = await broker.get('openapi.json');
    await page.locator('summary').first().waitFor();
    const shown = new Set(await page.locator('summary code').allInnerTexts());
    assert.deepEqual(Object.keys(paths).filter((path) => !shown.has(path)), []);
    await page.locator('summary', { hasText: '/api/v1/nights' }).first().click();
    await page.locator('details[open]').getByRole('button', { name: 'Try' }).click();
    await page.locator('details[open]').getByRole('region', { name: 'Answer', exact: true }).getByText('"nights"').waitFor();
  });

  it('explain the code of an error where the error says', async () => {
    const page = await tab(browser, broker);
    const missing = await fetch(`${broker.url}/api/v1/objects/none`, { headers: { authorization: `Bearer ${broker.token}` } });
    const { type, code } = await missing.json();
    await page.at(type);
    const row = page.locator(`[id="${code}"]`);
    await row.getByText('404').waitFor();
    await until('it is in view', () => row.evaluate((it) => { const { top, bottom } = it.getBoundingClientRect(); return top >= 0 && bottom <= innerHeight; }));
    assert.deepEqual(page.wrong, []);
  });
});

it('pages say that the broker is away, keep what stood there, and go on when it is back', { skip: SKIP }, async () => {
  const broker = new Broker();
  let browser;
  try {
    broker.run('demo', '--alerts', '300', '--speed', '0');
    const words = ['run', '--from', join(broker.folder, 'packets'), '--follow'];
    mkdirSync(join(broker.folder, 'packets'));
    await broker.start(...words);
    browser = await launch();
    const page = await tab(browser, broker);
    await page.at('/status');
    await page.locator('h1').getByText('running').waitFor();
    const nights = page.getByRole('region', { name: 'Nights' }).locator('tbody tr');
    await until('nights are there', async () => (await nights.count()) > 0);
    const before = await nights.count();
    // The other pages are fetched ahead, so that one can go to them without the broker.
    await page.waitForFunction(() => performance.getEntriesByType('resource').some(({ name, responseStatus }) => /Search-.*js$/.test(name) && responseStatus === 200));
    await broker.stop();
    const away = page.getByText('The broker has not answered since');
    await away.waitFor();
    await page.locator('h1').getByText('no answer').waitFor();
    assert.equal(await nights.count(), before, 'what stood there stays');
    await page.getByRole('link', { name: 'Search', exact: true }).click();
    await away.waitFor();
    await page.getByLabel('Right ascension').fill('10');
    await page.getByLabel('Declination').fill('10');
    await page.getByRole('button', { name: 'Cone' }).click();
    await page.getByText('The broker does not answer').waitFor();
    await broker.start(...words);
    await away.waitFor({ state: 'hidden' });
    await page.getByRole('heading', { name: /within 60″/ }).waitFor();
    assert.equal(await page.locator('.problem').count(), 0);
  } finally {
    await browser?.close();
    await broker.end();
  }
});

const none = existsSync(real) ? SKIP : `no real alerts at ${real}`;
describe('pages over real alerts', { skip: none }, () => {
  let broker, browser, about;
  before(async () => {
    broker = await Broker.ofRealAlerts(real);
    browser = await launch();
    about = await subjects(broker);
  });
  after(async () => {
    await browser?.close();
    await broker?.end();
  });

  it('are sound in light and dark, on desktops and phones', () => walk(browser, broker, about));

  it('show stamps with north up and east left', async () => {
    // Alerts with a bright source of the reference image beside them, whose position the packet gives.
    const near = `SELECT alert_id, object_id, ztf.candidate.ra AS ra, ztf.candidate.dec AS dec, ztf.candidate.ranr AS ranr, ztf.candidate.decnr AS decnr
      FROM ztf WHERE ztf.candidate.distnr > 3 AND ztf.candidate.magnr < 19.5 LIMIT 1000`;
    const found = (await broker.get(`sql?query=${encodeURIComponent(near)}`)).rows
      .map((row) => ({ ...row, east: (row.ranr - row.ra) * 3600 * Math.cos((row.dec * Math.PI) / 180), north: (row.decnr - row.dec) * 3600 }))
      .filter(({ east, north }) => Math.min(Math.abs(east), Math.abs(north)) > 2 && Math.max(Math.abs(east), Math.abs(north)) < 25);
    assert.ok(found.length > 0, 'there are such alerts');
    const page = await tab(browser, broker);
    for (const { alert_id, object_id, east, north } of found.slice(0, 4)) {
      await page.at(`/object/${object_id}?alert=${alert_id}&stretch=linear`);
      await page.getByText('north up, east left').waitFor();
      const template = page.getByRole('img', { name: `template image of alert ${alert_id}` });
      await template.locator('canvas:not(.gone)').waitFor();
      const brightest = await template.locator('canvas').evaluate((canvas, [east, north]) => {
        const { data, width } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const seen = new DOMMatrix(getComputedStyle(canvas).transform).inverse();
        /** How bright it is at an offset of the picture as it is seen [arcsec, to the right and down]. */
        const at = (right, down) => {
          const { x, y } = seen.transformPoint({ x: right / 1.0124, y: down / 1.0124 });
          const [column, row] = [x, y].map((offset) => Math.round((width - 1) / 2 + offset));
          return [-1, 0, 1].reduce((sum, i) => sum + data[4 * ((row + i) * width + column)], 0);
        };
        const places = { 'north up, east left': at(-east, -north), 'south up': at(-east, north), 'east right': at(east, -north), 'both': at(east, north) };
        return Object.entries(places).sort((a, b) => b[1] - a[1])[0][0];
      }, [east, north]);
      assert.equal(brightest, 'north up, east left', alert_id);
    }
  });

  it('show real images, forced photometry and limits', async () => {
    const page = await tab(browser, broker);
    await page.at(`/object/${about.object.object_id}`);
    await until('three images are there', async () => (await page.locator('.big canvas:not(.gone)').count()) === 3);
    const kinds = new Set((await broker.get(`objects/${about.object.object_id}/lightcurve`)).rows.map((row) => row.kind));
    for (const kind of kinds) await page.getByRole('button', { name: kind }).waitFor();
  });
});
