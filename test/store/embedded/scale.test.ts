/**
 * Many keys in one bucket: what a request costs doesn't depend on how many there are. Measured as CPU time of this process per request,
 * of a large bucket over that of a small one. SCALE_KEYS=1000000 makes the large one a million keys.
 */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { Journal } from '../../../src/store/embedded/journal.js';
import { putLine } from '../../../src/store/embedded/records.js';
import { clientOf, startServer, temporaryDirectory, type Teardown } from './support.js';

const LARGE = Number(process.env['SCALE_KEYS'] ?? 50_000);
const SMALL = 500;
/** What depends on the number of keys would cost many times as much. */
const RATIO_MAX = 3;
const Bucket = 'photos';

/** Half of the keys in one directory, the bucket's own, the other half in directories of 500. */
function keyOf(at: number): string {
  const name = String(at).padStart(7, '0');
  return at % 2 === 0 ? name : `deep/${String(Math.floor(at / 1000))}/${name}`;
}

/** A bucket's directory with so many empty objects, as a server leaves it. */
async function fill(directory: string, keys: number): Promise<void> {
  const root = join(directory, Bucket);
  mkdirSync(join(root, '.s3nfsd-store', 'blobs'), { recursive: true });
  const { journal } = await Journal.open(join(root, '.s3nfsd-store', 'journal'), () => undefined);
  let appends: Promise<void>[] = [];
  for (let at = 0; at < keys; at++) {
    const key = keyOf(at);
    if (at % 1000 === 1) mkdirSync(join(root, `deep/${String(Math.floor(at / 1000))}`), { recursive: true });
    const path = join(root, key);
    writeFileSync(path, '');
    const record = {
      size: 0,
      mtimeNs: statSync(path, { bigint: true }).mtimeNs,
      etag: 'd41d8cd98f00b204e9800998ecf8427e',
      lastModifiedMs: 1_700_000_000_000,
      headers: { 'content-type': 'application/octet-stream' },
      checksum: { algorithm: 'CRC64NVME', type: 'FULL_OBJECT', value: 'AAAAAAAAAAA=' },
      partSizes: undefined,
      uploadId: undefined,
      blob: undefined,
    } as const;
    appends.push(journal.append(putLine(key, record, '')));
    if (appends.length === 10_000) {
      await Promise.all(appends);
      appends = [];
    }
  }
  await Promise.all(appends);
  await journal.close();
}

type Work = (at: number) => Promise<unknown>;

/** CPU microseconds of this process a call, the median of several rounds. */
async function cost(rounds: number, calls: number, work: Work): Promise<number> {
  const costs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    for (let call = 0; call < calls; call++) await work(round * calls + call);
    const { user, system } = process.cpuUsage(before);
    costs.push((user + system) / calls);
  }
  return costs.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? NaN;
}

/** What is measured: alone, and lists while others write, which is when directories have to be looked at again. */
function works(client: S3Client, directory: string, keys: number): Readonly<Record<string, Work>> {
  const list = (input: object): Promise<unknown> =>
    client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 100, ...input }));
  const put = (Key: string): Promise<unknown> => client.send(new PutObjectCommand({ Bucket, Key, Body: '' }));
  // Anywhere among the keys, by steps that share no factor with their number.
  const some = (at: number): string => keyOf((at * 7919) % keys);
  return {
    'PUT of new keys': (at) => put(`${String((at * 7919) % keys).padStart(7, '0')}-${String(at)}`),
    'PUT over keys': (at) => put(some(at)),
    HEAD: (at) => client.send(new HeadObjectCommand({ Bucket, Key: some(at) })),
    'LIST of a page': (at) => list({ StartAfter: some(at) }),
    'LIST with a delimiter': () => list({ Delimiter: '/' }),
    'LIST between writes': async (at) => {
      // From here on the directory changes faster than its times tell.
      if (at === 0) writeFileSync(join(directory, Bucket, 'by-hand'), '');
      await put(`between-${String(at)}`);
      await list({ StartAfter: some(at) });
    },
    DELETE: (at) => client.send(new DeleteObjectCommand({ Bucket, Key: some(at * 2) })),
  };
}

async function measure(t: Teardown, keys: number): Promise<Readonly<Record<string, number>>> {
  const directory = temporaryDirectory(t);
  await fill(directory, keys);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const began = performance.now();
  const store = await startServer(directory);
  const startMs = performance.now() - began;
  globalThis.gc?.();
  const bytes = Math.round((process.memoryUsage().heapUsed - before) / keys);
  const client = clientOf(t, store.endpoint);
  const costs: Record<string, number> = {};
  for (const [name, work] of Object.entries(works(client, directory, keys)))
    costs[name] = await cost(5, 8, work);
  await store.close();
  process.stderr.write(
    `${keys} keys: start ${startMs.toFixed(0)} ms, ${bytes} bytes of heap a key; µs of CPU a request, client included: ${Object.entries(
      costs,
    )
      .map(([name, each]) => `${name} ${each.toFixed(0)}`)
      .join(', ')}\n`,
  );
  return costs;
}

await t.test('a request costs the same however many keys there are', { timeout: 1_800_000 }, async (t) => {
  // The first is for warming up.
  await measure(t, SMALL);
  const small = await measure(t, SMALL);
  const large = await measure(t, LARGE);
  for (const [name, each] of Object.entries(large)) {
    const ratio = each / (small[name] ?? NaN);
    t.ok(ratio < RATIO_MAX, `${name}: ${ratio.toFixed(2)} times that of ${String(SMALL)} keys`);
  }
});
