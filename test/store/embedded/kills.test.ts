/**
 * kill -9 at random moments under random operations: whatever was acknowledged is there after it, whole, and what was under way is done
 * or not done. `KILLS=50 TAP_TIMEOUT=600 node dist/test/store/embedded/kills.test.js` kills more often; KILL_SEED repeats what was drawn.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { draw } from '../../../src/store/faults/random.js';
import { clientOf, sha256, temporaryDirectory } from './support.js';

const Bucket = 'photos';
const KILLS = Number(process.env['KILLS'] ?? 4);
const SEED = Number(process.env['KILL_SEED'] ?? Date.now() % 1e9);

/** A server in a process of its own; it prints its port. */
const SERVER = `
  import { startServer } from ${JSON.stringify(new URL('./support.js', import.meta.url).href)};
  const store = await startServer(process.argv[1]);
  process.stdout.write(store.port + '\\n');
`;

/** An object as it should be; 'none' where there should be none. */
type State = 'none' | { readonly digest: string; readonly version: string; readonly tag: string };

interface Upload {
  readonly key: string;
  readonly version: string;
  /** Digests that part 1 may have; 'none' where it may not be there. */
  parts: string[];
  etag: string;
  /** It may be over. */
  ending: boolean;
}

let draws = 0;
const random = (below: number): number => Math.floor(draw(SEED, draws++) * below);
const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;

/** Paths, keys that can't be paths, and files in each other's way. Each lane has its own, so that each key has one writer. */
const keysOf = (lane: number): string[] =>
  ['', '/x', '/x/y', '//odd', `/${'z'.repeat(300)}`, '/t/', '/é'].map((end) => `lane${lane}${end}`);

class World {
  /** By key, what may be there: more than one state where a request was cut off. */
  readonly objects = new Map<string, State[]>();
  readonly uploads = new Map<string, Upload>();
  acknowledged = 0;

  /** Carries out a change of `key` to `next`: until it is acknowledged, both may be. */
  async change(key: string, next: State, request: () => Promise<unknown>): Promise<void> {
    this.objects.set(key, [...this.at(key), next]);
    await request();
    this.acknowledged++;
    this.objects.set(key, [next]);
  }

  at(key: string): State[] {
    return this.objects.get(key) ?? ['none'];
  }
}

/** One random operation on a key of the lane. */
async function operate(client: S3Client, world: World, lane: number): Promise<void> {
  const Key = pick(keysOf(lane));
  const version = String(draws);
  const Body = `${Key} ${version} `.repeat(1 + random(random(10) === 0 ? 20_000 : 300));
  const Metadata = { version };
  const [current, ...others] = world.at(Key);
  const written = { digest: sha256(Body), version, tag: '' };
  switch (pick(['put', 'put', 'delete', 'tag', 'copy', 'upload', 'upload', 'abort'])) {
    case 'put':
      return world.change(Key, { ...written, tag: version }, async () =>
        client.send(new PutObjectCommand({ Bucket, Key, Body, Metadata, Tagging: `tag=${version}` })),
      );
    case 'delete':
      return world.change(Key, 'none', async () => client.send(new DeleteObjectCommand({ Bucket, Key })));
    case 'tag': {
      if (current === undefined || current === 'none' || others.length > 0) return;
      const Tagging = { TagSet: [{ Key: 'tag', Value: version }] };
      return world.change(Key, { ...current, tag: version }, async () =>
        client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging })),
      );
    }
    case 'copy': {
      const from = pick(keysOf(lane));
      const [source, ...more] = world.at(from);
      if (from === Key || source === undefined || source === 'none' || more.length > 0) return;
      const CopySource = `${Bucket}/${encodeURIComponent(from)}`;
      return world.change(Key, source, async () =>
        client.send(new CopyObjectCommand({ Bucket, Key, CopySource })),
      );
    }
    case 'abort': {
      const own = [...world.uploads].filter(([, { key, ending }]) => keysOf(lane).includes(key) && !ending);
      const [UploadId, upload] = own[random(Math.max(own.length, 1))] ?? [];
      if (upload === undefined) return;
      upload.ending = true;
      await client.send(new AbortMultipartUploadCommand({ Bucket, Key: upload.key, UploadId }));
      world.uploads.delete(UploadId ?? '');
      return;
    }
    case 'upload': {
      const { UploadId = '' } = await client.send(
        new CreateMultipartUploadCommand({ Bucket, Key, Metadata }),
      );
      const upload: Upload = { key: Key, version, parts: ['none'], etag: '', ending: false };
      world.uploads.set(UploadId, upload);
      let last = '';
      // The second goes over the first.
      for (let at = random(2); at < 2; at++) {
        last = `${Body}${at}`;
        upload.parts.push(sha256(last));
        const part = { Bucket, Key, UploadId, PartNumber: 1, Body: last };
        upload.etag = (await client.send(new UploadPartCommand(part))).ETag ?? '';
        upload.parts = [sha256(last)];
        world.acknowledged++;
      }
      if (random(2) === 0) return;
      upload.ending = true;
      const MultipartUpload = { Parts: [{ PartNumber: 1, ETag: upload.etag }] };
      await world.change(Key, { ...written, digest: sha256(last) }, async () =>
        client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload })),
      );
      world.uploads.delete(UploadId);
    }
  }
}

async function stateOf(client: S3Client, Key: string): Promise<State> {
  // The SDK compares the checksum with the bytes.
  const got = await client.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  const { TagSet = [] } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }));
  const digest = sha256((await got.Body?.transformToByteArray()) ?? '');
  return { digest, version: got.Metadata?.['version'] ?? '', tag: TagSet[0]?.Value ?? '' };
}

async function listed(client: S3Client): Promise<string[]> {
  const names: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 7, ContinuationToken }));
    names.push(...(page.Contents ?? []).flatMap(({ Key }) => Key ?? []));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  return names;
}

/** Compares all there is with what may be, which it narrows down to what is. Tells what is wrong. */
async function compare(client: S3Client, world: World): Promise<string[]> {
  const wrong: string[] = [];
  const names = await listed(client);
  const inOrder = [...new Set(names)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  if (names.join() !== inOrder.join()) wrong.push(`listed as ${names.join()}`);
  for (const key of new Set([...names, ...world.objects.keys()])) {
    const is = names.includes(key) ? await stateOf(client, key) : 'none';
    const found = world.at(key).find((state) => JSON.stringify(state) === JSON.stringify(is));
    if (found === undefined)
      wrong.push(`${key} is ${JSON.stringify(is)} of ${JSON.stringify(world.at(key))}`);
    const head = client.send(new HeadObjectCommand({ Bucket, Key: key }));
    if (
      (await head.then(
        () => false,
        () => true,
      )) !==
      (is === 'none')
    )
      wrong.push(`HEAD of ${key}`);
    world.objects.set(key, [is]);
  }
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
  const under = new Set(Uploads.map(({ UploadId }) => UploadId));
  for (const [UploadId, upload] of world.uploads) {
    const { key: Key, parts, version } = upload;
    if (!under.has(UploadId)) {
      if (!upload.ending) wrong.push(`an upload of ${Key} is lost`);
      world.uploads.delete(UploadId);
      continue;
    }
    upload.ending = false;
    const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }));
    const ETag = Parts[0]?.ETag;
    if (ETag === undefined) {
      if (!parts.includes('none')) wrong.push(`the part of an upload of ${Key} is lost`);
      continue;
    }
    if (random(2) === 0) continue;
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
    const made = await stateOf(client, Key);
    if (made === 'none' || !parts.includes(made.digest) || made.version !== version)
      wrong.push(`an upload of ${Key} became ${JSON.stringify(made)}`);
    world.objects.set(Key, [made]);
    world.uploads.delete(UploadId);
  }
  return wrong;
}

await t.test(`after each of ${KILLS} kills, seed ${SEED}`, async (t) => {
  const directory = temporaryDirectory(t);
  const world = new World();
  const start = async (): Promise<{ child: ChildProcess; client: S3Client }> => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', SERVER, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => void child.kill('SIGKILL'));
    const [port] = (await once(child.stdout, 'data')) as [Buffer];
    return { child, client: clientOf(t, `http://127.0.0.1:${port.toString().trim()}`) };
  };
  let server = await start();
  await server.client.send(new CreateBucketCommand({ Bucket }));
  for (let kill = 1; kill <= KILLS; kill++) {
    const { child, client } = server;
    const exited = once(child, 'exit');
    const until = world.acknowledged + 10 + random(60);
    const lane = async (number: number): Promise<void> => {
      while (!child.killed) {
        await operate(client, world, number).catch((error: unknown) => {
          if (!child.killed) throw error;
        });
        // In the middle of what the other lanes do.
        if (world.acknowledged >= until) child.kill('SIGKILL');
      }
    };
    await Promise.all([0, 1, 2, 3, 4].map(lane));
    await exited;
    client.destroy();
    server = await start();
    t.same(await compare(server.client, world), [], `kill ${kill}, ${world.acknowledged} acknowledged`);
  }
  const ended = once(server.child, 'exit');
  server.child.kill('SIGKILL');
  await ended;
});
