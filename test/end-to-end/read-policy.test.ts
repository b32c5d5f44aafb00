/** What is fetched for one READ, by the policy of the export that it came through. */
import t from 'tap';
import { BUCKET, Bucket, MIB, mount, patternBytes, serveBucket } from './fixture.js';

const KIB = 1024;

await t.test('each export reads ahead as its readPolicy says', async (t) => {
  const bucket = await Bucket.start(t);
  const body = patternBytes(12 * MIB);
  const policies = ['adaptive', 'sequential', 'random'] as const;
  for (const policy of policies)
    for (const at of ['start', 'middle']) await bucket.put(`${policy}-${at}`, body);
  const config = bucket.write(
    'config.yaml',
    `exports:\n${policies
      .map((policy) => `  - source: s3://${BUCKET}\n    path: /${policy}\n    readPolicy: ${policy}\n`)
      .join('')}`,
  );
  const { daemon } = await serveBucket(t, bucket, ['--config', config, '--metadata-ttl', '1h']);

  /** Bytes asked for by GETs for one READ of 64 KiB of a file that nobody has read. */
  const fetched = async (policy: string, place: 'start' | 'middle'): Promise<number> => {
    const { nfs, root } = await mount(t, daemon.report, { path: `/${policy}` });
    const offset = place === 'start' ? 0 : 4 * MIB;
    const made = await bucket.requestsOf(async () => {
      const { handle } = await nfs.lookup(root, `${policy}-${place}`);
      const { data } = await nfs.read(handle, offset, 64 * KIB);
      t.ok(data.equals(body.subarray(offset, offset + 64 * KIB)), `bytes of ${policy} at the ${place}`);
    });
    return made
      .filter(({ operation }) => operation === 'GetObject')
      .reduce((sum, { range = '' }) => {
        const [first = 0, last = 0] = range.split('-').map(Number);
        return sum + last + 1 - first;
      }, 0);
  };

  t.equal(await fetched('adaptive', 'middle'), 64 * KIB);
  t.equal(await fetched('adaptive', 'start'), 512 * KIB);
  t.equal(await fetched('random', 'middle'), 64 * KIB);
  t.equal(await fetched('random', 'start'), 64 * KIB);
  t.equal(await fetched('sequential', 'middle'), 8 * MIB, 'to the end of the file');
  t.equal(await fetched('sequential', 'start'), 12 * MIB);
});
