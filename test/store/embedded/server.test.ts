import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import {
  clientOf,
  codeOf,
  failure,
  fixture,
  sendRaw,
  sha256,
  sign,
  startServer,
  temporaryDirectory,
} from './support.js';

const Bucket = 'photos';

await t.test(
  'a directory has one server at a time',
  { skip: process.platform !== 'linux' && 'there is no such lock elsewhere' },
  async (t) => {
    const directory = temporaryDirectory(t);
    const first = await startServer(directory);
    await t.rejects(startServer(directory), { message: `${directory} is in use by another server` });
    await first.close();
    const second = await startServer(directory);
    await second.close();
  },
);

await t.test('a client that expects 100-continue sends no body that is refused', async (t) => {
  const { store, client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const put = async (path: string): Promise<{ status: number | undefined; continued: boolean }> => {
    const body = Buffer.from('body');
    const raw = { method: 'PUT', path };
    const { headers } = sign(store, raw, { payload: sha256(body) });
    const request = httpRequest({
      host: '127.0.0.1',
      port: store.port,
      ...raw,
      headers: { ...headers, expect: '100-continue', 'content-length': body.length },
    });
    let continued = false;
    request.on('continue', () => {
      continued = true;
      request.end(body);
    });
    request.flushHeaders();
    const [response] = (await once(request, 'response')) as [{ statusCode?: number; resume(): void }];
    response.resume();
    if (!continued) request.destroy();
    return { status: response.statusCode, continued };
  };
  t.same(await put(`/${Bucket}/k`), { status: 200, continued: true });
  t.same(await put('/nowhere/k'), { status: 404, continued: false });
});

await t.test('a body refused halfway leaves the connection usable', async (t) => {
  const { store, client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const raw = {
    method: 'PUT',
    path: `/${Bucket}/k`,
    headers: { 'x-amz-decoded-content-length': '3', 'x-amz-trailer': 'x-amz-checksum-crc32' },
  };
  const { headers } = sign(store, raw, { payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' });
  const body = Buffer.concat([Buffer.from('zz\r\n'), Buffer.alloc(3_000_000)]);
  const answer = await sendRaw(store, { ...raw, headers, body });
  t.same([answer.status, codeOf(answer)], [400, 'IncompleteBody']);
});

await t.test('a client that goes away in the middle of its body leaves nothing', async (t) => {
  const { store, client, finished, directory } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const raw = { method: 'PUT', path: `/${Bucket}/k` };
  const { headers } = sign(store, raw, { payload: 'UNSIGNED-PAYLOAD' });
  const socket = connect(store.port, '127.0.0.1');
  await once(socket, 'connect');
  const lines = Object.entries({ ...headers, 'content-length': '1000' }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.write(`PUT ${raw.path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\npart of it`);
  socket.end();
  socket.resume();
  await once(socket, 'close');
  // The server closes when the request under way has ended.
  await store.close();
  t.match(finished.at(-1), { operation: 'PutObject', status: 400 });
  const again = await startServer(directory);
  t.teardown(() => again.close());
  t.equal(
    (await failure(clientOf(t, again.endpoint).send(new GetObjectCommand({ Bucket, Key: 'k' })))).code,
    'NoSuchKey',
  );
});

await t.test('links are not followed, whatever they lead to', async (t) => {
  const { client, directory } = await fixture(t);
  const outside = temporaryDirectory(t);
  writeFileSync(join(outside, 'secret'), 'secret');
  const root = join(directory, Bucket);
  mkdirSync(root);
  symlinkSync(outside, join(root, 'dir'));
  symlinkSync(join(outside, 'secret'), join(root, 'file'));
  for (const Key of ['dir/secret', 'file', '../photos/file']) {
    t.equal((await failure(client.send(new GetObjectCommand({ Bucket, Key })))).code, 'NoSuchKey', Key);
  }
  t.equal((await client.send(new ListObjectsV2Command({ Bucket }))).Contents, undefined);
  await client.send(new PutObjectCommand({ Bucket, Key: 'dir/secret', Body: 'mine' }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'file', Body: 'mine' }));
  t.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'secret');
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'dir/secret' }));
  t.equal(await got.Body?.transformToString(), 'mine');
});

await t.test('a reader of an object that is replaced gets the one it began with', async (t) => {
  const { client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  for (const Key of ['plain', 'odd//key']) {
    const body = Buffer.alloc(20 * 1024 * 1024, 'a');
    await client.send(new PutObjectCommand({ Bucket, Key, Body: body }));
    const got = await client.send(new GetObjectCommand({ Bucket, Key }));
    await client.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(body.length, 'b') }));
    t.ok(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body), Key);
  }
});

await t.test('request documents that are not what they should be', async (t) => {
  const { store, client } = await fixture(t);
  await client.send(new CreateBucketCommand({ Bucket }));
  const post = async (text: string): Promise<string | undefined> => {
    const body = Buffer.from(text);
    const raw = {
      method: 'POST',
      path: `/${Bucket}?delete=`,
      headers: { 'content-md5': createHash('md5').update(body).digest('base64') },
    };
    const { headers } = sign(store, raw, { payload: sha256(body) });
    return codeOf(await sendRaw(store, { ...raw, headers, body }));
  };
  for (const text of [
    '',
    'not xml',
    '<Delete>',
    '<Other/>',
    '<Delete></Delete>',
    '<Delete><Object></Object></Delete>',
    '<Delete><Object><Key></Key></Object></Delete>',
    '<Delete><Object><Key>&nosuch;</Key></Object></Delete>',
    '<!DOCTYPE d [<!ENTITY e "x">]><Delete><Object><Key>&e;</Key></Object></Delete>',
  ]) {
    t.equal(await post(text), 'MalformedXML', text);
  }
  t.equal(await post('<Delete><Object><Key>a&amp;b&#13;</Key></Object></Delete>'), undefined);
});
