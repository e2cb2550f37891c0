// `pitt demo` as a person at a terminal meets it; `script` (util-linux) is the terminal.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { it } from 'node:test';
import { Broker, program, until } from './broker.mjs';

const SKIP = spawnSync('script', ['--version']).error ? 'no `script`' : false;

function atTerminal(broker, words) {
  const { DISPLAY, WAYLAND_DISPLAY, ...environment } = broker.environment;
  // Without `exec` some shells stay between the two, and die of Ctrl-C themselves.
  const child = spawn('script', ['-qec', `exec ${program} ${words}`, '/dev/null'], { cwd: broker.folder, env: environment });
  const run = { child, said: '', code: new Promise((done) => child.once('exit', done)) };
  child.stdout.on('data', (text) => (run.said += text));
  return run;
}

it('the demo prints its pages first, keeps them when the night is over, and ends with Ctrl-C', { skip: SKIP }, async () => {
  const broker = new Broker();
  try {
    const run = atTerminal(broker, 'demo --alerts 300 --speed 0 --no-open');
    await until('the night is over', () => run.said.includes('The night is over'));
    const pages = /http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(run.said);
    assert.ok(pages && pages.index < run.said.indexOf('stored in'), run.said);
    const { origin } = new URL(pages[0]);
    const answer = await fetch(`${origin}/healthz`);
    assert.equal(answer.status, 200);
    run.child.stdin.write('\x03');
    assert.equal(await run.code, 0, run.said);
    await assert.rejects(fetch(`${origin}/healthz`));
  } finally {
    await broker.end();
  }
});

it('the demo ends with the night when asked to', { skip: SKIP }, async () => {
  const broker = new Broker();
  try {
    const run = atTerminal(broker, 'demo --alerts 300 --speed 0 --no-open --once');
    assert.equal(await run.code, 0, run.said);
    assert.ok(run.said.includes('Try next') && !run.said.includes('The night is over'), run.said);
  } finally {
    await broker.end();
  }
});
