import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Blobs } from '../../../src/store/embedded/blobs.js';
import { BucketFiles } from '../../../src/store/embedded/bucket-files.js';
import { PlainFiles } from '../../../src/store/embedded/plain-files.js';
import type { ObjectRecord } from '../../../src/store/embedded/records.js';
import { temporaryDirectory } from './support.js';

/** Writes a blob that is larger than a file may be, 2 MiB, in a process with such a limit. */
const WRITER = `
  import { Blobs } from ${JSON.stringify(new URL('../../../src/store/embedded/blobs.js', import.meta.url).href)};
  const blobs = new Blobs(process.argv[1]);
  const writer = await blobs.create();
  // All that fits; what comes on top waits for the end.
  for (let piece = 0; piece < 8; piece++) await writer.write(Buffer.alloc(256 * 1024));
  await writer.write(Buffer.alloc(100_000));
  const code = await writer.finish().then(() => 'none', (error) => error.code);
  process.stdout.write(code + ' ' + blobs.list().size);
`;

await t.test('a blob that the disk has no room for is removed', async (t) => {
  const directory = temporaryDirectory(t);
  // Without the environment: the test runner's would have node write reports, which the limit is for, too.
  const command = 'ulimit -f 4096 && exec env -i "$@"';
  const node = [process.execPath, '--input-type=module', '-e', WRITER, directory];
  t.equal(execFileSync('sh', ['-c', command, 'sh', ...node]).toString(), 'EFBIG 0');
});

await t.test('an object whose directory became an object while it was opened is gone', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 's3nfsd-files-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const files = new BucketFiles({
    name: 'photos',
    plain: new PlainFiles(root, true),
    blobs: new Blobs(join(root, '.s3nfsd-store', 'blobs')),
    log: undefined,
  });
  mkdirSync(join(root, 'a'));
  writeFileSync(join(root, 'a', 'b'), 'bytes');
  const record = { size: 5, mtimeNs: 1n, blob: undefined } as unknown as ObjectRecord;
  let looks = 0;
  const opened = await files.open('a/b', () => {
    if (looks++ > 0) return undefined;
    // The record was found; before its file is opened, a/b is deleted and a is put.
    rmSync(join(root, 'a'), { recursive: true });
    writeFileSync(join(root, 'a'), 'another');
    return record;
  });
  t.equal(opened, undefined);
  t.equal(looks, 2);
});
