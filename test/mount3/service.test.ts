import t, { type Test } from 'tap';
import { MOUNT1, MOUNT3 } from '../../protocol/mount3/program.js';
import { FsError, type FsErrorCode } from '../../src/fs/errors.js';
import type { Context, ExportEntry, Handle } from '../../src/fs/file-system.js';
import { MountList } from '../../src/mount3/mount-list.js';
import { mount1Service, mount3Service } from '../../src/mount3/service.js';
import { RpcServer } from '../../src/rpc/server.js';
import { collectLog } from '../support/collected-log.js';
import { MemoryFileSystem } from '../support/memory-file-system.js';
import { RpcClient, systemCredential } from '../support/rpc-client.js';

/** Two exports, one for everybody; MNT gives the path as the handle, or fails as told. */
class ExportsOnly extends MemoryFileSystem {
  failure: Error | undefined;
  readonly asked: { readonly caller: Context['caller']; readonly path: string }[] = [];

  override exports(): readonly ExportEntry[] {
    return [
      { path: '/bucket', allow: [] },
      { path: '/private/prefix', allow: ['10.0.0.0/8', 'fd00::/8'] },
    ];
  }

  override async mount({ caller }: Context, path: string): Promise<Handle> {
    this.asked.push({ caller, path });
    if (this.failure !== undefined) throw this.failure;
    return Buffer.from(path);
  }
}

async function start(t: Test): Promise<{
  fs: ExportsOnly;
  lines: Record<string, unknown>[];
  connect: (transport?: 'tcp' | 'udp') => Promise<RpcClient>;
}> {
  const fs = new ExportsOnly();
  const { log, lines } = collectLog();
  const mounts = new MountList();
  const services = [mount3Service({ fs, log, mounts }), mount1Service({ fs, log, mounts })];
  const server = new RpcServer({ services, log });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0, udp: true });
  const clients: RpcClient[] = [];
  t.teardown(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await server.close(0);
  });
  const connect = async (transport: 'tcp' | 'udp' = 'tcp'): Promise<RpcClient> => {
    const client = await RpcClient.connect({ host: '127.0.0.1', port, transport });
    clients.push(client);
    return client;
  };
  return { fs, lines, connect };
}

void t.test('MNT gives the handle and the flavors, by TCP and UDP', async (t) => {
  const { fs, connect } = await start(t);
  for (const transport of ['tcp', 'udp'] as const) {
    const client = await connect(transport);
    t.same(await client.call(MOUNT3, 'MNT', Buffer.from('/bucket/a/')), {
      fhs_status: 'MNT3_OK',
      mountinfo: { fhandle: Buffer.from('/bucket/a'), auth_flavors: [1, 0] },
    });
  }
  const client = await connect();
  await client.call(MOUNT3, 'MNT', Buffer.from('/bucket'), { credential: systemCredential(5, 6, [7]) });
  t.same(fs.asked.at(0)?.caller, { uid: 65534, gid: 65534, gids: [], address: '127.0.0.1' });
  t.same(fs.asked.at(-1)?.caller, { uid: 5, gid: 6, gids: [7], address: '127.0.0.1' });
});

void t.test('each failure of the file system is a mountstat3', async (t) => {
  const { fs, connect } = await start(t);
  const client = await connect();
  const expected: readonly (readonly [FsErrorCode, string])[] = [
    ['EPERM', 'MNT3ERR_PERM'],
    ['ENOENT', 'MNT3ERR_NOENT'],
    ['EACCES', 'MNT3ERR_ACCES'],
    ['ENOTDIR', 'MNT3ERR_NOTDIR'],
    ['ENAMETOOLONG', 'MNT3ERR_NAMETOOLONG'],
    ['ENOTSUP', 'MNT3ERR_NOTSUPP'],
    ['ESTALE', 'MNT3ERR_NOENT'],
    ['EJUKEBOX', 'MNT3ERR_IO'],
    ['EFAULT', 'MNT3ERR_SERVERFAULT'],
  ];
  for (const [code, fhs_status] of expected) {
    fs.failure = new FsError(code, 'as the test wants it');
    t.same(await client.call(MOUNT3, 'MNT', Buffer.from('/bucket')), { fhs_status }, code);
  }
  t.same(await client.call(MOUNT3, 'DUMP', undefined), [], 'what failed is not in the list');
});

void t.test('a defect is answered MNT3ERR_SERVERFAULT and logged', async (t) => {
  const { fs, lines, connect } = await start(t);
  fs.failure = new TypeError('a defect');
  const client = await connect();
  const result = await client.call(MOUNT3, 'MNT', Buffer.from('/bucket'));
  t.same(result, { fhs_status: 'MNT3ERR_SERVERFAULT' });
  t.ok(lines.some(({ msg }) => msg === 'mount failed unexpectedly'));
});

void t.test('paths that are too long or no paths are refused without asking the file system', async (t) => {
  const { fs, connect } = await start(t);
  const client = await connect();
  t.same(await client.call(MOUNT3, 'MNT', Buffer.alloc(1025, 'x')), { fhs_status: 'MNT3ERR_NAMETOOLONG' });
  t.same(await client.call(MOUNT3, 'MNT', Buffer.from([0xff])), { fhs_status: 'MNT3ERR_INVAL' });
  t.same(fs.asked, []);
  t.same(await client.call(MOUNT3, 'MNT', Buffer.alloc(4096)), { fhs_status: 'MNT3ERR_NAMETOOLONG' });
});

void t.test('EXPORT lists the exports, with their networks as groups', async (t) => {
  const { connect } = await start(t);
  const client = await connect();
  const expected = [
    { ex_dir: Buffer.from('/bucket'), ex_groups: [] },
    {
      ex_dir: Buffer.from('/private/prefix'),
      ex_groups: [Buffer.from('10.0.0.0/8'), Buffer.from('fd00::/8')],
    },
  ];
  t.same(await client.call(MOUNT3, 'EXPORT', undefined), expected);
  t.same(await client.call(MOUNT1, 'EXPORT', undefined), expected);
});

void t.test('DUMP shows who mounted, UMNT and UMNTALL forget it, in both versions', async (t) => {
  const { connect } = await start(t);
  const client = await connect();
  const mounted = async (): Promise<string[]> => {
    const list = await client.call(MOUNT3, 'DUMP', undefined);
    t.same(await client.call(MOUNT1, 'DUMP', undefined), list);
    return list.map(
      ({ ml_hostname, ml_directory }) => `${ml_hostname.toString()} ${ml_directory.toString()}`,
    );
  };
  for (const path of ['/bucket', '/bucket/', '/bucket/a', '/private/prefix']) {
    await client.call(MOUNT3, 'MNT', Buffer.from(path));
  }
  t.same(await mounted(), ['127.0.0.1 /bucket', '127.0.0.1 /bucket/a', '127.0.0.1 /private/prefix']);
  await client.call(MOUNT3, 'UMNT', Buffer.from('/bucket/'));
  await client.call(MOUNT1, 'UMNT', Buffer.from('/bucket/a'));
  await client.call(MOUNT3, 'UMNT', Buffer.from([0xff]));
  t.same(await mounted(), ['127.0.0.1 /private/prefix']);
  await client.call(MOUNT1, 'UMNTALL', undefined);
  t.same(await mounted(), []);
  t.equal(await client.call(MOUNT3, 'NULL', undefined), undefined);
  t.equal(await client.call(MOUNT1, 'NULL', undefined), undefined);
});

void t.test('MNT of version 1 is refused, since its handles are for NFSv2', async (t) => {
  const { fs, connect } = await start(t);
  const client = await connect();
  t.same(await client.call(MOUNT1, 'MNT', Buffer.from('/bucket')), { status: 'EACCES' });
  t.same(fs.asked, []);
});

void t.test('MOUNT version 2 is a mismatch of versions', async (t) => {
  const { connect } = await start(t);
  const client = await connect();
  await t.rejects(client.call({ ...MOUNT1, version: 2 }, 'NULL', undefined), new Error('PROG_MISMATCH'));
});
