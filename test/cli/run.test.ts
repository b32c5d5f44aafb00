import t from 'tap';
import { readFileSync } from 'node:fs';
import { DEMO_OPTIONS, PROXY_OPTIONS, SERVE_OPTIONS, STORE_OPTIONS } from '../../config/schema.js';
import { envName, flagName } from '../../config/option.js';
import type { Command, Surroundings } from '../../src/cli/command.js';
import { commandHelp } from '../../src/cli/help.js';
import { run } from '../../src/cli/run.js';
import { StartError } from '../../src/cli/start-error.js';

function captured() {
  const out: string[] = [];
  const err: string[] = [];
  const surroundings: Surroundings = {
    env: {},
    stdout: (line) => out.push(line),
    stderr: (line) => err.push(line),
    shutdown: new AbortController().signal,
  };
  return { out, err, surroundings };
}

function commandThat(act: () => void): Command {
  return {
    name: 'serve',
    summary: 'Serves.',
    operands: 's3://BUCKET ...',
    options: SERVE_OPTIONS,
    positional: 'exports',
    examples: ['s3nfsd serve s3://bucket'],
    run: async () => act(),
  };
}

await t.test('a command that ends well exits 0', async (t) => {
  const { err, surroundings } = captured();
  let ran = false;
  t.equal(await run(['serve'], [commandThat(() => (ran = true))], surroundings), 0);
  t.ok(ran);
  t.same(err, []);
});

await t.test('foreseen failures are one line on standard error, exit 1', async (t) => {
  const fail = commandThat(() => {
    throw new StartError('the door is locked');
  });
  for (const [argv, line] of [
    [['serve'], 's3nfsd: the door is locked'],
    [['serve', '--prot', '1'], 's3nfsd: unknown option --prot; did you mean --port?'],
    [['sevre'], 's3nfsd: unknown command sevre; did you mean serve?'],
  ] as const) {
    const { out, err, surroundings } = captured();
    t.equal(await run(argv, [fail], surroundings), 1);
    t.same(err, [line]);
    t.same(out, []);
  }
});

await t.test('a defect shows its stack after the line', async (t) => {
  const { err, surroundings } = captured();
  const defect = commandThat(() => {
    throw new TypeError('x is not a function');
  });
  t.equal(await run(['serve'], [defect], surroundings), 1);
  t.equal(err[0], 's3nfsd: TypeError: x is not a function');
  t.match(err[1], /at .*run\.test/);
});

await t.test('--version is the package’s', async (t) => {
  const { out, surroundings } = captured();
  t.equal(await run(['--version'], [], surroundings), 0);
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  t.same(out, [version]);
});

await t.test(
  '--help lists commands; a command’s lists every option with flag, variable and default',
  async (t) => {
    const { out, surroundings } = captured();
    const command = commandThat(() => t.fail('must not run'));
    t.equal(await run(['--help'], [command], surroundings), 0);
    t.match(out[0], /serve {2}Serves\./);
    t.equal(await run(['serve', '--help'], [command], surroundings), 0);
    for (const options of [SERVE_OPTIONS, STORE_OPTIONS, PROXY_OPTIONS, DEMO_OPTIONS]) {
      const { positional: _positional, ...rest } = command;
      const help = commandHelp({ ...rest, options });
      for (const [name, option] of Object.entries(options)) {
        t.match(help, new RegExp(`^  --${flagName(name)}( |$)`, 'm'));
        t.match(help.replaceAll(/\s+/g, ' '), `Default: ${option.defaultText}. [${envName(name, option)}`);
      }
      for (const line of help.split('\n')) t.ok(line.length <= 120, line);
    }
  },
);
