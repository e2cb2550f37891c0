// A broker of its own for a test: the real program, in a temporary folder, on a free port of this machine.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(fileURLToPath(import.meta.url), '../../..');
export const program = process.env.PITT_BIN ?? join(root, 'target/debug/pitt');

/** Nights of simulated alerts that are in the archive before the pages are looked at, and alerts in each. */
const NIGHTS = 2;
const ALERTS = 1200;
/** Alerts of the night that comes while the tests look: more than they take time for, on a machine however busy. */
const COMING = 20_000;

export class Broker {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'pitt-pages-'));
    this.environment = { ...process.env, PITT_HTTP_LISTEN: '127.0.0.1:0', PITT_PUSH_ALLOW_PRIVATE: 'true', PITT_ARCHIVE: join(this.folder, 'archive') };
  }

  /** Runs a command to its end, and gives what it printed. */
  run(...words) {
    const done = spawnSync(program, words, { cwd: this.folder, env: this.environment, encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`pitt ${words.join(' ')}: ${done.error ?? done.stderr}`);
    return done.stdout;
  }

  /** Two nights of simulated alerts, then a third that comes slowly while the tests look. */
  static async ofSimulatedAlerts() {
    const broker = new Broker();
    for (let night = 0; night < NIGHTS; night++) broker.run('demo', '--alerts', String(ALERTS), '--speed', '0');
    await broker.start('demo', '--alerts', String(COMING), '--speed', '4');
    return broker;
  }

  /** One night of simulated alerts, served with these settings for as long as the tests look. */
  static async ofServedAlerts(settings = {}) {
    const broker = new Broker();
    Object.assign(broker.environment, settings);
    broker.run('demo', '--alerts', String(ALERTS), '--speed', '0');
    await broker.start('serve');
    return broker;
  }

  /** Real packets, read once; the run stays for files that might come. */
  static async ofRealAlerts(folder) {
    const broker = new Broker();
    await broker.start('run', '--from', folder, '--filters', join(root, 'examples/filters'), '--follow');
    await until('alerts are committed', async () => (await broker.get('nights')).nights.some((night) => night.stored > 0));
    return broker;
  }

  async start(...words) {
    this.token ??= /pitt_[\w-]+/.exec(this.run('token', 'create', 'tests', '--scope', 'write'))?.[0];
    this.child = spawn(program, words, { cwd: this.folder, env: this.environment, stdio: ['ignore', 'pipe', 'pipe'] });
    this.said = '';
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (text) => (this.said += text));
    this.url = await until('the port is open', async () => {
      if (this.child.exitCode !== null) throw new Error(`the broker ended: ${this.said}`);
      const served = /^Serving .* at (http:\/\/[\d.:]+)/m.exec(this.said);
      if (served) return served[1];
      const path = join(this.folder, 'archive/status/0.json');
      if (!existsSync(path)) return null;
      const status = JSON.parse(readFileSync(path, 'utf8'));
      return status.pid === this.child.pid && status.url;
    });
  }

  /** What the API answers, with 64-bit ids as the text they are. */
  async get(path) {
    const response = await fetch(`${this.url}/api/v1/${path}`, { headers: { authorization: `Bearer ${this.token}` } });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Ends the program; what it has stored stays, and it can be started again, at the same address. */
  async stop() {
    if (this.child?.exitCode !== null) return;
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGINT');
    await ended;
    if (this.url) this.environment.PITT_HTTP_LISTEN = new URL(this.url).host;
  }

  async end() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits until something is so, at most half a minute. */
export async function until(what, found, patience = 30_000) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await found();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}
