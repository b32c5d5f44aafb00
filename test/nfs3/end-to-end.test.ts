/** Every procedure over TCP: RpcServer, the NFSv3 service, the in-memory file system, and the client for tests. */
import { randomBytes } from 'node:crypto';

import t, { type Test } from 'tap';

import { NFS3 } from '../../protocol/nfs3/program.js';
import { mount3Service } from '../../src/mount3/service.js';
import { nfs3Service } from '../../src/nfs3/service.js';
import { RpcServer } from '../../src/rpc/server.js';
import { collectLog } from '../support/collected-log.js';
import { MemoryFileSystem } from '../support/memory-file-system.js';
import { MountStatusError, NfsClient, statusOf, type NfsClientOptions } from '../support/nfs-client.js';
import { RpcReplyError, systemCredential } from '../support/rpc-client.js';

async function start(t: Test, fs = new MemoryFileSystem()) {
  const { log, lines } = collectLog();
  const [nfs3, mount3] = [nfs3Service({ fs, log }), mount3Service({ fs, log })];
  const server = new RpcServer({ services: [nfs3, mount3], log });
  const { host, port } = await server.listen({ host: '127.0.0.1', port: 0, udp: false });
  const mountd = await server.listen({ host: '127.0.0.1', port: 0, udp: false, services: [mount3] });
  const clients: NfsClient[] = [];
  t.teardown(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await server.close(0);
  });
  const connect = async (options: Partial<NfsClientOptions> = {}): Promise<NfsClient> => {
    const client = await NfsClient.connect({ host, port, ...options });
    clients.push(client);
    return client;
  };
  const client = await connect();
  return { fs, lines, connect, client, mountPort: mountd.port, root: await client.mnt('/bucket') };
}

const text = (bytes: Buffer): string => bytes.toString();

await t.test('files: made, written in parallel, committed, read in parallel, changed, removed', async (t) => {
  const { fs, client, root } = await start(t);
  await client.ping();
  const { handle } = await client.create(root, 'f', { mode: 0o640 });
  const data = randomBytes(5 * 1024 * 1024 + 3);
  await client.writeFile(handle, data);
  t.ok((await client.readFile(handle)).equals(data));
  t.ok((await client.readFile(handle, { transferBytes: 100_001, parallel: 32 })).equals(data));
  t.equal(fs.readsHeld, 0, 'every buffer was given back');
  await client.writeFile(handle, Buffer.from('begin'), { stable: 'FILE_SYNC' });
  const { ctime } = await client.getattr(handle);
  await client.setattr(handle, { size: 5, mtime: { seconds: 7, nseconds: 8 }, atime: 'now' }, ctime);
  t.match(await client.getattr(handle), { size: 5n, mode: 0o640, mtime: { seconds: 7, nseconds: 8 } });
  t.equal(text(await client.readFile(handle)), 'begin');
  t.equal(await statusOf(client.setattr(handle, { size: 0 }, ctime)), 'NFS3ERR_NOT_SYNC');
  await client.remove(root, 'f');
  t.equal(await statusOf(client.getattr(handle)), 'NFS3ERR_STALE');
});

await t.test('directories, symlinks and names', async (t) => {
  const { client, root } = await start(t);
  const { handle: dir } = await client.mkdir(root, 'd', { mode: 0o755 });
  const { handle: file } = await client.createExclusive(dir, 'x', Buffer.from('12345678'));
  const { handle: link } = await client.symlink(dir, 'l', 'd/x');
  t.equal(text(await client.readlink(link)), 'd/x');
  t.same(await client.lookupPath(root, '/d/x'), file);
  t.equal(await client.access(dir, 0x3f), 0x1f);
  await client.rename(dir, 'x', root, 'y');
  t.same((await client.lookup(root, 'y')).handle, file);
  t.equal(await statusOf(client.lookup(dir, 'x')), 'NFS3ERR_NOENT');
  t.equal(await statusOf(client.rmdir(root, 'd')), 'NFS3ERR_NOTEMPTY');
  t.equal(await statusOf(client.link(file, root, 'z')), 'NFS3ERR_NOTSUPP');
  t.equal(
    await statusOf(
      client.call('MKNOD', { where: { dir, name: Buffer.from('n') }, what: { type: 'NF3DIR' } }),
    ),
    'NFS3ERR_BADTYPE',
  );
  await client.remove(dir, 'l');
  await client.rmdir(root, 'd');
  t.same(
    (await client.readdir(root)).map(({ name }) => text(name)),
    ['.', '..', 'y'],
  );
});

await t.test('a directory of 1,000 entries, in pages of any size', async (t) => {
  const { client, root } = await start(t);
  const names = Array.from({ length: 1000 }, (_, i) => `entry-${i}-${'n'.repeat(i % 200)}`);
  for (const name of names) await client.create(root, name);
  const expected = ['.', '..', ...names];
  for (const bytes of [512, 4096, 65536, 1024 * 1024]) {
    t.same(
      (await client.readdir(root, bytes)).map(({ name }) => text(name)),
      expected,
    );
    const entries = await client.readdirplus(root, bytes);
    t.same(
      entries.map(({ name }) => text(name)),
      expected,
    );
    t.ok(entries.every(({ name_handle, name_attributes }) => name_handle && name_attributes));
  }
});

await t.test('MNT on the port of NFS and on one of its own', async (t) => {
  const { client, connect, mountPort, root } = await start(t);
  const { handle } = await client.mkdir(root, 'd');
  t.same(await client.mnt('/bucket/d'), handle);
  const apart = await connect({ mountPort });
  t.same(await apart.mnt('/bucket'), root);
  await t.rejects(apart.mnt('/other'), MountStatusError);
});

await t.test('FSSTAT, FSINFO and PATHCONF', async (t) => {
  const { client, root } = await start(t);
  t.equal((await client.fsstat(root)).invarsec, 0);
  t.equal((await client.fsinfo(root)).wtmax, 1024 * 1024);
  t.equal((await client.pathconf(root)).name_max, 255);
});

await t.test('credentials decide: another user is refused, AUTH_NONE is nobody', async (t) => {
  const { client, connect, root } = await start(t);
  const { handle } = await client.create(root, 'secret', { mode: 0o600, uid: 1000 });
  await client.write(handle, 0, Buffer.from('secret'));
  const owner = await connect({ credential: systemCredential(1000, 1000) });
  const other = await connect({ credential: systemCredential(1001, 1001) });
  const nobody = await connect({ credential: { flavor: 0, body: Buffer.alloc(0) } });
  t.equal(text(await owner.readFile(handle)), 'secret');
  t.equal(await statusOf(other.readFile(handle)), 'NFS3ERR_ACCES');
  t.equal(await statusOf(nobody.readFile(handle)), 'NFS3ERR_ACCES');
  t.equal((await nobody.create(root, 'n')).attributes?.uid, 65534);
});

await t.test('REMOVE that is sent again is answered from the first reply', async (t) => {
  const { client, root } = await start(t);
  await client.create(root, 'f');
  const xid = client.rpc.nextXid();
  const object = { dir: root, name: Buffer.from('f') };
  for (const attempt of ['first', 'retransmission']) {
    t.match(await client.rpc.call(NFS3, 'REMOVE', { object }, { xid }), { status: 'NFS3_OK' }, attempt);
  }
  t.match(await client.rpc.call(NFS3, 'REMOVE', { object }), { status: 'NFS3ERR_NOENT' }, 'a new call');
});

await t.test('RENAME that is sent again after 20,000 WRITEs gets the first answer', async (t) => {
  const { client, root } = await start(t);
  await client.create(root, 'f');
  const { handle } = await client.create(root, 'written');
  const xid = client.rpc.nextXid();
  const args = { from: { dir: root, name: Buffer.from('f') }, to: { dir: root, name: Buffer.from('g') } };
  t.match(await client.rpc.call(NFS3, 'RENAME', args, { xid }), { status: 'NFS3_OK' });
  const data = Buffer.from('some');
  for (let done = 0; done < 20_000; done += 100) {
    await Promise.all(Array.from({ length: 100 }, async (_, at) => client.write(handle, at * 4, data)));
  }
  t.match(await client.rpc.call(NFS3, 'RENAME', args, { xid }), { status: 'NFS3_OK' });
  t.match(await client.rpc.call(NFS3, 'RENAME', args), { status: 'NFS3ERR_NOENT' }, 'a new call');
});

/** Answers a READ with more than READ3res can hold. */
class Overlong extends MemoryFileSystem {
  override async read(...[context, file, offset]: Parameters<MemoryFileSystem['read']>) {
    return super.read(context, file, offset, 2 * 1024 * 1024);
  }
}

await t.test('the buffers of a READ come back also when its reply cannot be encoded', async (t) => {
  const fs = new Overlong();
  const { client, root } = await start(t, fs);
  const { handle } = await client.create(root, 'f', { size: 2 * 1024 * 1024 });
  await t.rejects(client.read(handle, 0, 1), RpcReplyError);
  t.equal(fs.readsHeld, 0);
});

/** Loses what is UNSTABLE once, between WRITE and COMMIT. */
class Crashing extends MemoryFileSystem {
  crashes = 1;
  writes = 0;
  override async write(...args: Parameters<MemoryFileSystem['write']>) {
    this.writes++;
    return super.write(...args);
  }
  override async commit(...args: Parameters<MemoryFileSystem['commit']>) {
    if (this.crashes-- > 0) this.changeVerifier(Buffer.from('memory02'));
    return super.commit(...args);
  }
}

await t.test('data is sent again when COMMIT has another verifier than WRITE', async (t) => {
  const fs = new Crashing();
  const { client, root } = await start(t, fs);
  const { handle } = await client.create(root, 'f');
  await client.writeFile(handle, Buffer.from('abcdef'), { transferBytes: 2 });
  t.equal(fs.writes, 6);
  t.equal(text(await client.readFile(handle)), 'abcdef');
});
