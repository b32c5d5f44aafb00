/** Exports: the pseudo-root, subdirectories, read-only, who may mount, and as whom. */
import { networkInterfaces } from 'node:os';
import t from 'tap';
import { MOUNT1, MOUNT3 } from '../../protocol/mount3/program.js';
import { RpcClient, systemCredential } from '../support/rpc-client.js';
import { MountStatusError, NfsClient, statusOf } from '../support/nfs-client.js';
import {
  BUCKET,
  Bucket,
  mount,
  namesIn,
  readPath,
  serve,
  serveBucket,
  startIn,
  writeFile,
} from './fixture.js';

/** The status that MNT is answered with. */
async function mountStatus(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'MNT3_OK';
  } catch (error) {
    if (error instanceof MountStatusError) return error.status;
    throw error;
  }
}

await t.test('/ is a pseudo-root that lists all exports', async (t) => {
  const { bucket, daemon, nfs } = await serve(t, [`s3://${BUCKET}`, `s3://${BUCKET}/a/b/`]);
  await bucket.put('a/b/file', 'content');
  const top = await mount(t, daemon.report, { path: '/' });
  t.same(await namesIn(nfs, top.root), [BUCKET]);
  t.match(await nfs.getattr(top.root), { type: 'NF3DIR', mode: 0o555 });
  t.equal((await readPath(top, `${BUCKET}/a/b/file`)).toString(), 'content');
  t.equal(await statusOf(nfs.create(top.root, 'file')), 'NFS3ERR_ROFS');
  t.equal(await statusOf(nfs.mkdir(top.root, 'directory')), 'NFS3ERR_ROFS');
  t.equal(await statusOf(nfs.rename(top.root, BUCKET, top.root, 'other')), 'NFS3ERR_ROFS');
  t.equal(await statusOf(nfs.lookup(top.root, 'other')), 'NFS3ERR_NOENT');
  t.same((await nfs.lookup(top.root, '..')).handle, top.root);
});

await t.test('subdirectories can be mounted; what isn’t there can’t', async (t) => {
  const { bucket, daemon, nfs } = await serve(t);
  await bucket.put('a/b/file', 'content');
  const below = await mount(t, daemon.report, { path: `/${BUCKET}/a/b` });
  t.equal((await readPath(below, 'file')).toString(), 'content');
  t.equal(await mountStatus(nfs.mnt(`/${BUCKET}/none`)), 'MNT3ERR_NOENT');
  t.equal(await mountStatus(nfs.mnt('/none')), 'MNT3ERR_NOENT');
  t.equal(await mountStatus(nfs.mnt(`/${BUCKET}/a/b/file`)), 'MNT3ERR_NOTDIR');
  t.equal(await mountStatus(nfs.mnt(`/${BUCKET}/../${BUCKET}`)), 'MNT3ERR_INVAL');
});

await t.test('an export of a prefix doesn’t show what lies beside it', async (t) => {
  const bucket = await Bucket.start(t, ['public/file', 'private/file']);
  const serving = await serveBucket(t, bucket, [`s3://${BUCKET}/public/`]);
  const { nfs, root } = serving;
  t.same(await namesIn(nfs, root), ['file']);
  t.same((await nfs.lookup(root, '..')).handle, root, 'its .. is itself');
  t.equal(await statusOf(nfs.lookup(root, 'private')), 'NFS3ERR_NOENT');
  t.equal(await statusOf(nfs.lookup(root, '../private/file')), 'NFS3ERR_INVAL');
  await writeFile(serving, 'new', 'content');
  t.equal(await bucket.text('public/new'), 'content');
});

await t.test('a read-only export refuses every change', async (t) => {
  const bucket = await Bucket.start(t, ['file', 'dir/file']);
  const { nfs, root } = await serveBucket(t, bucket, [`s3://${BUCKET}`, '--read-only']);
  const { handle } = await nfs.lookup(root, 'file');
  t.equal((await nfs.readFile(handle)).toString(), 'file');
  const changes = [
    nfs.create(root, 'new'),
    nfs.createExclusive(root, 'new', Buffer.alloc(8)),
    nfs.mkdir(root, 'new'),
    nfs.symlink(root, 'new', 'file'),
    nfs.write(handle, 0, Buffer.from('x')),
    nfs.setattr(handle, { mode: 0o777 }),
    nfs.setattr(handle, { size: 0 }),
    nfs.remove(root, 'file'),
    nfs.rmdir(root, 'dir'),
    nfs.rename(root, 'file', root, 'new'),
  ];
  for (const change of changes) t.equal(await statusOf(change), 'NFS3ERR_ROFS');
  t.equal(await nfs.access(handle, 0x3f), 0x01, 'READ alone');
  t.same(await bucket.keys(), ['dir/file', 'file']);
});

await t.test('--allow: others are refused before a word', async (t) => {
  const bucket = await Bucket.start(t);
  const { daemon } = await startIn(t, bucket, [`s3://${BUCKET}`, '--allow', '192.0.2.0/24']);
  const refused = await RpcClient.connect({ host: '127.0.0.1', port: daemon.report.nfsPort });
  await refused.closed;
  t.same(refused.replied, []);
});

await t.test('--allow of one export among others is checked on every call', async (t) => {
  const bucket = await Bucket.start(t, ['open/file', 'closed/file']);
  const everybody = await serveBucket(t, bucket, [`s3://${BUCKET}/open/`, `s3://${BUCKET}/closed/`]);
  const root = await everybody.nfs.mnt(`/${BUCKET}/closed`);
  const { handle } = await everybody.nfs.lookup(root, 'file');
  await everybody.daemon.stop();
  const config = bucket.write(
    'config.yaml',
    `exports: [s3://${BUCKET}/open/, { source: s3://${BUCKET}/closed/, allow: [192.0.2.1/32] }]\n`,
  );
  const { nfs, daemon } = await serveBucket(t, bucket, ['--config', config]);
  t.equal(await mountStatus(nfs.mnt(`/${BUCKET}/closed`)), 'MNT3ERR_ACCES');
  t.equal(await statusOf(nfs.getattr(root)), 'NFS3ERR_ACCES');
  t.equal(await statusOf(nfs.read(handle, 0, 1)), 'NFS3ERR_ACCES');
  t.equal(await statusOf(nfs.rename(root, 'file', root, 'x')), 'NFS3ERR_ACCES');
  const top = await mount(t, daemon.report, { path: `/${BUCKET}` });
  t.same(await namesIn(nfs, top.root), ['open'], 'it isn’t listed either');
});

await t.test('squash: root, all or none act as the export’s owner', async (t) => {
  const bucket = await Bucket.start(t);
  const owners = ['--uid', '1001', '--gid', '1002'];
  const madeBy = async (squash: string, uid: number) => {
    const { daemon } = await serveBucket(t, bucket, [`s3://${BUCKET}`, '--squash', squash, ...owners]);
    const { nfs, root } = await mount(t, daemon.report, { credential: systemCredential(uid, uid) });
    const { attributes } = await nfs.create(root, `${squash}-${uid}`);
    await daemon.stop();
    return [attributes?.uid, attributes?.gid];
  };
  t.same(await madeBy('root', 0), [1001, 1002]);
  t.same(await madeBy('all', 1003), [1001, 1002]);
  t.same(await madeBy('none', 0), [0, 0]);
  const { daemon } = await serveBucket(t, bucket, [`s3://${BUCKET}`, '--squash', 'root', ...owners]);
  const stranger = await mount(t, daemon.report, { credential: systemCredential(1003, 1003) });
  t.equal(await statusOf(stranger.nfs.create(stranger.root, 'mine')), 'NFS3ERR_ACCES', 'the mode bits hold');
  const { handle } = await stranger.nfs.lookup(stranger.root, 'none-0');
  t.equal(await statusOf(stranger.nfs.write(handle, 0, Buffer.from('x'))), 'NFS3ERR_ACCES');
  t.equal(await statusOf(stranger.nfs.setattr(handle, { mode: 0o777 })), 'NFS3ERR_PERM');
});

await t.test('MOUNT v3 by TCP and UDP; v1 for EXPORT and UMNT', async (t) => {
  const { daemon, root } = await serve(t, [`s3://${BUCKET}`, `s3://${BUCKET}/sub/`]);
  const paths = [`/${BUCKET}`, `/${BUCKET}/sub`];
  for (const transport of ['tcp', 'udp'] as const) {
    const rpc = await RpcClient.connect({ host: '127.0.0.1', port: daemon.report.mountPort, transport });
    t.teardown(() => rpc.close());
    const mounted = await rpc.call(MOUNT3, 'MNT', Buffer.from(`/${BUCKET}`));
    t.match(mounted, { fhs_status: 'MNT3_OK', mountinfo: { auth_flavors: [1, 0] } });
    if (mounted.fhs_status === 'MNT3_OK') t.same(mounted.mountinfo.fhandle, root);
    for (const program of [MOUNT3, MOUNT1] as const) {
      const listed = await rpc.call(program, 'EXPORT', undefined);
      t.same(
        listed.map(({ ex_dir }) => ex_dir.toString()),
        paths,
      );
      await rpc.call(program, 'UMNT', Buffer.from(`/${BUCKET}`));
      await rpc.call(program, 'UMNTALL', undefined);
    }
  }
});

const outside = Object.values(networkInterfaces())
  .flat()
  .find((address) => address?.internal === false && address.family === 'IPv4')?.address;

await t.test(
  'the daemon listens where it is told, and admits whom --allow names',
  { skip: outside === undefined && 'this machine has no address but loopback' },
  async (t) => {
    const host = outside ?? '';
    const bucket = await Bucket.start(t, ['file']);
    // Loopback is not among those allowed: no client of it gets a word.
    const { daemon } = await startIn(t, bucket, [
      `s3://${BUCKET}`,
      '--listen',
      '0.0.0.0',
      '--allow',
      `${host}/32`,
    ]);
    const nfs = await NfsClient.connect({ host, port: daemon.report.nfsPort });
    t.teardown(() => nfs.close());
    t.same(await namesIn(nfs, await nfs.mnt(`/${BUCKET}`)), ['file']);
    const refused = await RpcClient.connect({ host: '127.0.0.1', port: daemon.report.nfsPort });
    await refused.closed;
    t.same(refused.replied, []);
  },
);
