import t from 'tap';
import fc from '../support/fast-check.js';
import {
  formatDuration,
  formatMode,
  formatSize,
  parseDuration,
  parseMode,
  parseSize,
} from '../../config/quantities.js';

await t.test('sizes: powers of 1000, with an i powers of 1024', async (t) => {
  for (const [text, bytes] of [
    ['0', 0],
    ['4096', 4096],
    ['4096B', 4096],
    ['16MB', 16e6],
    ['16mb', 16e6],
    ['512K', 512e3],
    ['512Ki', 512 * 1024],
    ['512KiB', 512 * 1024],
    ['1GiB', 2 ** 30],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['2T', 2e12],
  ] as const) {
    t.equal(parseSize(text), bytes, text);
  }
  for (const text of ['', 'MB', '-1', '1e6', '16MBB', '16 parsecs', '1 2', '9000000TiB', '0x10']) {
    t.equal(parseSize(text), undefined, text);
  }
});

await t.test('times carry their unit', async (t) => {
  for (const [text, ms] of [
    ['0', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['5min', 300_000],
    ['1h30m', 5_400_000],
    ['2 d', 172_800_000],
    ['indefinite', Infinity],
  ] as const) {
    t.equal(parseDuration(text), ms, text);
  }
  for (const text of ['', '30', '-1s', 's', '5 fortnights', '1s,2s', '99999999999999999d']) {
    t.equal(parseDuration(text), undefined, text);
  }
});

await t.test('modes are octal', async (t) => {
  t.equal(parseMode('0644'), 0o644);
  t.equal(parseMode('644'), 0o644);
  t.equal(parseMode('0o1777'), 0o1777);
  t.equal(parseMode('7777'), 0o7777);
  for (const text of ['', '0688', '77777', 'rw-r--r--', '0x1ff']) t.equal(parseMode(text), undefined, text);
  t.equal(formatMode(0o44), '0044');
});

await t.test('what is formatted is read back as the same', async () => {
  fc.assert(fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (bytes) => parseSize(formatSize(bytes)) === bytes));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 }), (n) => parseSize(formatSize(n * 2 ** 30)) === n * 2 ** 30),
  );
  fc.assert(fc.property(fc.nat(), (ms) => parseDuration(formatDuration(ms)) === ms));
  fc.assert(fc.property(fc.nat(0o7777), (mode) => parseMode(formatMode(mode)) === mode));
});
