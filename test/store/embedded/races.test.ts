/**
 * Several clients at once on one key, each with a condition that lets one of them through. Bodies are held in the middle, and go on in
 * an order that is drawn: exactly one request succeeds, and what is there afterwards is what it wrote.
 */
import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  RenameObjectCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import fc from '../../support/fast-check.js';
import t from 'tap';
import { DIRECTORY_BUCKET, directoryFixture } from './directory-support.js';
import { failure, fixture } from './support.js';

/** What there is to win by: nothing at the key, or this object there. */
type Condition = { readonly IfNoneMatch: '*' } | { readonly IfMatch: string };

/** A request ready to be sent, and the body of the object if it wins; undefined where it leaves none. */
interface Contender {
  readonly send: (held: Promise<void>) => Promise<unknown>;
  readonly leaves: string | undefined;
}

type Prepare = (
  client: S3Client,
  Bucket: string,
  Key: string,
  id: number,
  condition: Condition,
) => Promise<Contender>;

const bodyOf = (kind: string, id: number): string => `${kind} ${id} `.padEnd(20_000, '.');

/** Its second half waits. */
function heldBody(text: string, held: Promise<void>): Readable {
  return Readable.from(
    (async function* () {
      yield Buffer.from(text.slice(0, 10_000));
      await held;
      yield Buffer.from(text.slice(10_000));
    })(),
    { objectMode: false },
  );
}

const put: Prepare = async (client, Bucket, Key, id, condition) => {
  const leaves = bodyOf('put', id);
  const send = (held: Promise<void>): Promise<unknown> =>
    client.send(
      new PutObjectCommand({
        Bucket,
        Key,
        Body: heldBody(leaves, held),
        ContentLength: leaves.length,
        ...condition,
      }),
    );
  return Promise.resolve({ leaves, send });
};

const complete: Prepare = async (client, Bucket, Key, id, condition) => {
  const leaves = bodyOf('complete', id);
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const { ETag } = await client.send(
    new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: leaves }),
  );
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  const command = { Bucket, Key, UploadId, MultipartUpload, ...condition };
  return { leaves, send: async () => client.send(new CompleteMultipartUploadCommand(command)) };
};

/** An object beside the key, for `copy` and `rename`. */
async function source(client: S3Client, Bucket: string, Key: string, leaves: string): Promise<string> {
  const name = `${Key}-from-${leaves.slice(0, 10).trim().replace(' ', '-')}`;
  await client.send(new PutObjectCommand({ Bucket, Key: name, Body: leaves }));
  return name;
}

const copy: Prepare = async (client, Bucket, Key, id, condition) => {
  const leaves = bodyOf('copy', id);
  const CopySource = `${Bucket}/${await source(client, Bucket, Key, leaves)}`;
  return {
    leaves,
    send: async () => client.send(new CopyObjectCommand({ Bucket, Key, CopySource, ...condition })),
  };
};

const remove: Prepare = async (client, Bucket, Key, _id, condition) =>
  Promise.resolve({
    leaves: undefined,
    send: async () => client.send(new DeleteObjectCommand({ Bucket, Key, ...condition })),
  });

const rename: Prepare = async (client, Bucket, Key, id, condition) => {
  const leaves = bodyOf('rename', id);
  const RenameSource = await source(client, Bucket, Key, leaves);
  const conditions =
    'IfMatch' in condition ? { DestinationIfMatch: condition.IfMatch } : { DestinationIfNoneMatch: '*' };
  return {
    leaves,
    send: async () => client.send(new RenameObjectCommand({ Bucket, Key, RenameSource, ...conditions })),
  };
};

const append: Prepare = async (client, Bucket, Key, id) => {
  const leaves = bodyOf('append', id);
  const command = { Bucket, Key, ContentLength: leaves.length, WriteOffsetBytes: 0 };
  return Promise.resolve({
    leaves,
    send: async (held) => client.send(new PutObjectCommand({ ...command, Body: heldBody(leaves, held) })),
  });
};

/** Sends all, lets the held bodies go on in `order`, and tells how each ended: '' or its status. */
async function race(contenders: readonly Contender[], order: readonly number[]): Promise<string[]> {
  const gates = contenders.map(() => {
    let open = (): void => undefined;
    const held = new Promise<void>((resolve) => (open = resolve));
    return { held, open };
  });
  const ends = contenders.map(async ({ send }, at) => {
    const sent = send(gates[at]?.held ?? Promise.resolve());
    return sent.then(
      () => '',
      async (error: unknown) => String((await failure(Promise.reject(error as Error))).status),
    );
  });
  for (const at of order) {
    gates[at % gates.length]?.open();
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const { open } of gates) open();
  return Promise.all(ends);
}

let keys = 0;

function raceProperty(
  client: S3Client,
  Bucket: string,
  kinds: Readonly<Record<string, Prepare>>,
  allowed: readonly string[],
  there: boolean,
): fc.IAsyncProperty<unknown> {
  const names = Object.keys(kinds);
  return fc.asyncProperty(
    fc.array(fc.constantFrom(...names), { minLength: 2, maxLength: 5 }),
    fc.array(fc.nat({ max: 4 }), { maxLength: 5 }),
    async (chosen, order) => {
      const Key = `key-${keys++}`;
      let condition: Condition = { IfNoneMatch: '*' };
      if (there) {
        const { ETag = '' } = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'before' }));
        condition = { IfMatch: ETag };
      }
      const contenders: Contender[] = [];
      for (const [id, name] of chosen.entries()) {
        const prepare = kinds[name] ?? put;
        contenders.push(await prepare(client, Bucket, Key, id, condition));
      }
      const ends = await race(contenders, order);
      const winners = contenders.filter((_, at) => ends[at] === '');
      const losers = ends.filter((end) => end !== '');
      if (winners.length !== 1 || losers.some((end) => !allowed.includes(end)))
        throw new Error(`ended by ${ends.join(', ')}`);
      const [winner] = winners;
      const is = await client.send(new GetObjectCommand({ Bucket, Key })).then(
        async ({ Body }) => Body?.transformToString(),
        () => undefined,
      );
      if (is !== winner?.leaves) throw new Error(`${String(is?.slice(0, 20))} is there`);
    },
  );
}

const RUNS = { numRuns: 40 };

await t.test('who finds nothing wins, the others get 412', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket: 'photos' }));
  await fc.assert(raceProperty(client, 'photos', { put, complete, copy }, ['412'], false), RUNS);
});

await t.test(
  'who finds the object that was named wins, the others get 412, or 404 where it was deleted',
  async (t) => {
    const { client } = await fixture(t);
    await client.send(new CreateBucketCommand({ Bucket: 'photos' }));
    await fc.assert(
      raceProperty(client, 'photos', { put, complete, copy, remove }, ['404', '412'], true),
      RUNS,
    );
  },
);

await t.test('the same in a directory bucket, with renames and appends', async (t) => {
  const { client } = await directoryFixture(t);
  const all = { put, complete, copy, rename, append };
  // 400 is InvalidWriteOffset.
  await fc.assert(raceProperty(client, DIRECTORY_BUCKET, all, ['400', '412'], false), RUNS);
  const others = { put, complete, copy, rename, remove };
  await fc.assert(raceProperty(client, DIRECTORY_BUCKET, others, ['404', '412'], true), RUNS);
});
