/** kill -9 between the steps of appends and renames: the old state or the new, never a mixture, and nothing lost. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  RenameObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { DIRECTORY_BUCKET as Bucket } from './directory-support.js';
import { clientOf, startServer, temporaryDirectory } from './support.js';

/** A server in a process of its own, to be killed; it prints its port. */
const SERVER = `
  import { startServer } from ${JSON.stringify(new URL('./support.js', import.meta.url).href)};
  const store = await startServer(process.argv[1]);
  process.stdout.write(store.port + '\\n');
`;

async function startChild(directory: string): Promise<{ child: ChildProcess; endpoint: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SERVER, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, endpoint: `http://127.0.0.1:${port.toString().trim()}` };
}

async function listed(client: S3Client): Promise<string[]> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
  return Contents.map(({ Key = '' }) => Key).sort();
}

async function text(client: S3Client, Key: string): Promise<string> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
  return (await Body?.transformToString()) ?? '';
}

await t.test('appends and renames that were acknowledged are there after kill -9', async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, Bucket));
  for (let round = 0; round < 3; round++) {
    const { child, endpoint } = await startChild(directory);
    const client = clientOf(t, endpoint);
    const exited = once(child, 'exit');
    let done = 0;
    /** By lane: words appended and acknowledged, the word on its way, and the names the log may have. */
    const logs = [0, 1, 2].map((lane) => ({
      lane,
      words: '',
      next: '',
      names: [`r${String(round)}/log${String(lane)}`],
    }));
    const work = async (log: (typeof logs)[number]): Promise<void> => {
      for (let step = 0; ; step++) {
        const [Key = ''] = log.names;
        try {
          if (step % 3 === 2) {
            const to =
              [
                `r${String(round)}/log${String(log.lane)}-${String(step)}`,
                `odd//${String(round)}-${String(log.lane)}`,
              ][step % 2] ?? '';
            log.names = [Key, to];
            await client.send(new RenameObjectCommand({ Bucket, Key: to, RenameSource: Key }));
            log.names = [to];
          } else {
            log.next = `word${String(step)} `;
            await client.send(
              new PutObjectCommand({ Bucket, Key, Body: log.next, WriteOffsetBytes: log.words.length }),
            );
            log.words += log.next;
            log.next = '';
          }
        } catch (error) {
          if (child.killed) return;
          throw error;
        }
        if (++done === 40 + 13 * round) child.kill('SIGKILL');
      }
    };
    await Promise.all(logs.map(work));
    await exited;

    const store = await startServer(directory);
    const after = clientOf(t, store.endpoint);
    const keys = await listed(after);
    for (const { words, next, names } of logs) {
      const there = names.filter((name) => keys.includes(name));
      t.equal(
        there.length,
        words === '' && next !== '' ? there.length : 1,
        `one name of ${names.join(', ')}`,
      );
      const [name] = there;
      if (name === undefined) continue;
      const content = await text(after, name);
      t.ok(content === words || content === words + next, `${name}: ${content} of ${words}, ${next}`);
    }
    t.same(
      readdirSync(join(directory, Bucket, '.s3nfsd-store', 'blobs')).length,
      keys.filter((key) => key.includes('//')).length,
      'nothing half made is left',
    );
    await store.close();
  }
});

/** A stopped bucket in which `a` was renamed to `b`, and copies of its files as they were before. */
async function renamedBucket(t: Parameters<typeof temporaryDirectory>[0]): Promise<{
  readonly directory: string;
  readonly bucket: string;
  readonly journal: string;
  readonly linesBefore: string;
  readonly renameLine: string;
}> {
  const directory = temporaryDirectory(t);
  const bucket = join(directory, Bucket);
  mkdirSync(bucket);
  const store = await startServer(directory);
  const client = clientOf(t, store.endpoint);
  await client.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'source', Metadata: { kept: '1' } }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'b', Body: 'target' }));
  const journal = join(bucket, '.s3nfsd-store', 'journal');
  const linesBefore = readFileSync(journal, 'utf8');
  linkSync(join(bucket, 'a'), join(directory, 'a'));
  linkSync(join(bucket, 'b'), join(directory, 'b'));
  await client.send(new RenameObjectCommand({ Bucket, Key: 'b', RenameSource: 'a', ClientToken: 'once' }));
  await store.close();
  const renameLine = readFileSync(journal, 'utf8').slice(linesBefore.length).split('\n')[0] ?? '';
  return { directory, bucket, journal, linesBefore, renameLine };
}

await t.test('a rename cut off at every step is done or not done', async (t) => {
  for (const step of ['linked', 'journaled', 'half a line', 'source gone', 'placed'] as const) {
    const { directory, bucket, journal, linesBefore, renameLine } = await renamedBucket(t);
    const blob = /"blob":"([^"]+)"/.exec(renameLine)?.[1] ?? '';
    const side = join(bucket, '.s3nfsd-store', 'blobs', blob);
    const cut = step === 'linked' ? '' : step === 'half a line' ? renameLine.slice(0, -9) : `${renameLine}\n`;
    writeFileSync(journal, linesBefore + cut);
    // What lay there at that step, by links to the very files.
    rmSync(join(bucket, 'b'));
    if (step === 'placed') linkSync(join(directory, 'a'), join(bucket, 'b'));
    else linkSync(join(directory, 'b'), join(bucket, 'b'));
    if (step !== 'source gone' && step !== 'placed') linkSync(join(directory, 'a'), join(bucket, 'a'));
    if (step !== 'placed') linkSync(join(directory, 'a'), side);
    const store = await startServer(directory);
    const client = clientOf(t, store.endpoint);
    const done = step !== 'linked' && step !== 'half a line';
    t.same(await listed(client), done ? ['b'] : ['a', 'b'], step);
    t.equal(await text(client, 'b'), done ? 'source' : 'target', step);
    if (!done) t.equal(await text(client, 'a'), 'source', step);
    t.same(readdirSync(join(bucket, '.s3nfsd-store', 'blobs')), [], `${step}: nothing is left beside it`);
    await store.close();
  }
});

await t.test('a body appended that has no line yet changes nothing', async (t) => {
  const directory = temporaryDirectory(t);
  const bucket = join(directory, Bucket);
  mkdirSync(bucket);
  const first = await startServer(directory);
  await clientOf(t, first.endpoint).send(new PutObjectCommand({ Bucket, Key: 'log', Body: 'one' }));
  await first.close();
  // The joined file is there, its line isn't.
  const side = join(bucket, '.s3nfsd-store', 'blobs', 'joined');
  copyFileSync(join(bucket, 'log'), side);
  writeFileSync(side, 'two', { flag: 'a' });
  const store = await startServer(directory);
  t.teardown(() => store.close());
  const client = clientOf(t, store.endpoint);
  t.equal(await text(client, 'log'), 'one');
  await client.send(new PutObjectCommand({ Bucket, Key: 'log', Body: 'two', WriteOffsetBytes: 3 }));
  t.equal(await text(client, 'log'), 'onetwo');
});
