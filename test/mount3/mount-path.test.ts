import t from 'tap';
import { FsError } from '../../src/fs/errors.js';
import { mountPath } from '../../src/mount3/mount-path.js';

void t.test('slashes at the end, doubled or missing at the start do not count', async (t) => {
  for (const [sent, path] of [
    ['/bucket', '/bucket'],
    ['/bucket/', '/bucket'],
    ['//bucket///a//', '/bucket/a'],
    ['bucket/a', '/bucket/a'],
    ['/', '/'],
    ['', '/'],
    ['/данные/é', '/данные/é'],
    ['/...', '/...'],
  ] as const) {
    t.equal(mountPath(Buffer.from(sent)), path, JSON.stringify(sent));
  }
});

void t.test('1024 bytes are a path, 1025 are too long', async (t) => {
  t.equal(mountPath(Buffer.from(`/${'x'.repeat(1023)}`)).length, 1024);
  t.throws(() => mountPath(Buffer.from(`/${'x'.repeat(1024)}`)), { code: 'ENAMETOOLONG' });
});

void t.test('what cannot be a path is refused', async (t) => {
  for (const sent of [
    Buffer.from('/a\0b'),
    Buffer.from('/a/../b'),
    Buffer.from('/.'),
    Buffer.from([0x2f, 0xff]),
  ]) {
    t.throws(() => mountPath(sent), FsError, sent.toString('hex'));
    t.throws(() => mountPath(sent), { code: 'EINVAL' }, sent.toString('hex'));
  }
});
