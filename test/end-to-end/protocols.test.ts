/** What clients rely on below NFS's own promises: refusals, retransmissions, calls at the same time, the end of the daemon. */
import t from 'tap';
import { MOUNT3 } from '../../protocol/mount3/program.js';
import { NFS3 } from '../../protocol/nfs3/program.js';
import { IPPROTO_TCP, IPPROTO_UDP, PORTMAP2 } from '../../protocol/portmap/program.js';
import { rpc_msg, type reply_body } from '../../protocol/rpc.js';
import { XdrReader } from '../../protocol/xdr-cursors.js';
import { encodeCall, RpcClient, systemCredential } from '../support/rpc-client.js';
import { statusOf } from '../support/nfs-client.js';
import { Bucket, MIB, mount, namesIn, patternBytes, serve, serveChild, startIn, BUCKET } from './fixture.js';

/** How a call of any program is answered, if it isn't SUCCESS. */
async function answerTo(
  rpc: RpcClient,
  target: { readonly prog: number; readonly vers: number; readonly proc: number },
  rpcvers = 2,
): Promise<reply_body> {
  const reply = await rpc.exchange(encodeCall(rpc.nextXid(), target, Buffer.alloc(0), { rpcvers }));
  const { body } = rpc_msg.decode(new XdrReader(reply));
  if (body.mtype !== 'REPLY') throw new Error('expected a reply');
  return body.rbody;
}

const accepted = (data: object) => ({ reply_stat: 'MSG_ACCEPTED', areply: { reply_data: data } });

await t.test(
  'other versions and programs get the refusals that make Linux fall back from v4 to v3',
  async (t) => {
    const { nfs } = await serve(t);
    const { rpc } = nfs;
    const mismatch = accepted({ stat: 'PROG_MISMATCH', mismatch_info: { low: 3, high: 3 } });
    const since = performance.now();
    for (const vers of [4, 2, 1, 0, 5]) {
      t.match(await answerTo(rpc, { prog: NFS3.number, vers, proc: 0 }), mismatch, `NFS version ${vers}`);
      t.match(await answerTo(rpc, { prog: NFS3.number, vers, proc: 1 }), mismatch);
    }
    t.ok(performance.now() - since < 5000, 'at once');
    t.match(await answerTo(rpc, { prog: MOUNT3.number, vers: 2, proc: 0 }), {
      areply: { reply_data: { stat: 'PROG_MISMATCH', mismatch_info: { low: 1, high: 3 } } },
    });
    t.match(
      await answerTo(rpc, { prog: 100227, vers: 3, proc: 0 }),
      accepted({ stat: 'PROG_UNAVAIL' }),
      'NFSACL',
    );
    t.match(
      await answerTo(rpc, { prog: 100021, vers: 4, proc: 0 }),
      accepted({ stat: 'PROG_UNAVAIL' }),
      'NLM',
    );
    t.match(
      await answerTo(rpc, { prog: NFS3.number, vers: 3, proc: 22 }),
      accepted({ stat: 'PROC_UNAVAIL' }),
    );
    t.match(await answerTo(rpc, { prog: NFS3.number, vers: 3, proc: 1 }), accepted({ stat: 'GARBAGE_ARGS' }));
    t.match(await answerTo(rpc, { prog: NFS3.number, vers: 3, proc: 0 }, 3), {
      reply_stat: 'MSG_DENIED',
      rreply: { stat: 'RPC_MISMATCH', mismatch_info: { low: 2, high: 2 } },
    });
  },
);

await t.test('hard links, devices and sockets are refused', async (t) => {
  const { nfs, root } = await serve(t);
  const { handle } = await nfs.create(root, 'file');
  t.equal(await statusOf(nfs.link(handle, root, 'link')), 'NFS3ERR_NOTSUPP');
  const nobody = { mode: undefined, uid: undefined, gid: undefined, size: undefined };
  const attributes = {
    ...nobody,
    atime: { set_it: 'DONT_CHANGE' },
    mtime: { set_it: 'DONT_CHANGE' },
  } as const;
  const where = { dir: root, name: Buffer.from('device') };
  const what = { type: 'NF3FIFO', pipe_attributes: attributes } as const;
  t.equal(await statusOf(nfs.call('MKNOD', { where, what })), 'NFS3ERR_NOTSUPP');
  t.equal((await nfs.pathconf(root)).linkmax, 1);
  t.match(await nfs.pathconf(root), { no_trunc: true, case_insensitive: false, case_preserving: true });
  t.match(await nfs.fsinfo(root), { rtmax: MIB, wtmax: MIB, wtpref: MIB });
});

await t.test('a retransmission on a new connection gets the same answer', async (t) => {
  const { nfs, root, bucket, daemon } = await serve(t);
  const file = (name: string) => ({ dir: root, name: Buffer.from(name) });
  const unset = { set_it: 'DONT_CHANGE' } as const;
  const obj_attributes = {
    ...{ mode: 0o644, uid: undefined, gid: undefined, size: undefined },
    ...{ atime: unset, mtime: unset },
  };
  const calls = [
    ['CREATE', { where: file('new'), how: { mode: 'GUARDED', obj_attributes } }],
    ['MKDIR', { where: file('dir'), attributes: obj_attributes }],
    ['RENAME', { from: file('new'), to: file('newer') }],
    ['REMOVE', { object: file('newer') }],
    ['RMDIR', { object: file('dir') }],
  ] as const;
  const { rpc } = nfs;
  const again = await RpcClient.connect({
    host: '127.0.0.1',
    port: daemon.report.nfsPort,
    credential: systemCredential(0, 0),
  });
  t.teardown(() => again.close());
  for (const [name, args] of calls) {
    const xid = rpc.nextXid();
    // The second arrives while the first is being executed, the third after it.
    const [first, second] = await Promise.all([
      rpc.call(NFS3, name as 'CREATE', args as never, { xid }),
      again.call(NFS3, name, args as never, { xid }),
    ]);
    const third = await again.call(NFS3, name, args, { xid });
    t.match(first, { status: 'NFS3_OK' }, name);
    t.same(second, first);
    t.same(third, first);
    const fresh = (await again.call(NFS3, name, args)) as { status: string };
    t.not(fresh.status, 'NFS3_OK', 'the same call under an xid of its own is another call');
  }
  t.same(await bucket.keys(), []);
});

await t.test('several clients at the same time on one connection and on many', async (t) => {
  const { nfs, root, daemon, bucket } = await serve(t);
  const others = await Promise.all(Array.from({ length: 4 }, () => mount(t, daemon.report)));
  const clients = [...others, { nfs, root }, { nfs, root }, { nfs, root }];
  await Promise.all(
    clients.map(async (client, index) => {
      const { handle: directory } = await client.nfs.mkdir(client.root, `client-${index}`);
      await Promise.all(
        Array.from({ length: 5 }, async (_, file) => {
          const data = patternBytes(200_000, index * 10 + file + 1);
          const { handle } = await client.nfs.create(directory, `file-${file}`);
          await client.nfs.writeFile(handle, data, { transferBytes: 32768 });
          t.ok((await client.nfs.readFile(handle, { transferBytes: 32768 })).equals(data));
          t.ok((await bucket.get(`client-${index}/file-${file}`)).equals(data));
        }),
      );
    }),
  );
  t.equal((await namesIn(nfs, root)).length, clients.length);
});

await t.test('what one client wrote and closed the next one opens', async (t) => {
  const serving = await serve(t);
  const other = await mount(t, serving.daemon.report);
  const { handle } = await serving.nfs.create(serving.root, 'file');
  for (let round = 0; round < 5; round++) {
    const data = patternBytes(10_000 + round, round + 1);
    await serving.nfs.writeFile(handle, data);
    const found = await other.nfs.lookup(other.root, 'file');
    t.equal(found.attributes?.size, BigInt(data.length));
    t.ok((await other.nfs.readFile(found.handle)).equals(data));
  }
});

await t.test('EXCLUSIVE create is exclusive between the clients of a daemon', async (t) => {
  const serving = await serve(t);
  const clients = await Promise.all(Array.from({ length: 8 }, () => mount(t, serving.daemon.report)));
  for (let round = 0; round < 5; round++) {
    const statuses = await Promise.all(
      clients.map(({ nfs, root }, index) =>
        statusOf(nfs.createExclusive(root, `lock-${round}`, Buffer.from(`client-${index}`))),
      ),
    );
    t.same(statuses.sort(), [...Array<string>(7).fill('NFS3ERR_EXIST'), 'NFS3_OK']);
  }
});

await t.test(
  'SIGTERM: what is under way is answered, what was acknowledged is published, exit 0',
  async (t) => {
    const bucket = await Bucket.start(t);
    const { child, report } = await serveChild(t, bucket);
    const { nfs, root } = await mount(t, report);
    const small = await nfs.create(root, 'small', { mode: 0o600 });
    await nfs.write(small.handle, 0, Buffer.from('acknowledged'), 'UNSTABLE');
    const data = patternBytes(20 * MIB);
    const large = await nfs.create(root, 'large');
    for (let at = 0; at < 20; at++) {
      await nfs.write(large.handle, at * MIB, data.subarray(at * MIB, (at + 1) * MIB), 'UNSTABLE');
    }
    await nfs.create(root, 'empty');
    const { code, stderr } = await child.end('SIGTERM');
    t.equal(code, 0, stderr.join('\n'));
    t.same(stderr, []);
    t.equal(await bucket.text('small'), 'acknowledged');
    t.equal((await bucket.head('small')).Metadata?.['file-permissions'], '0100600');
    t.ok((await bucket.get('large')).equals(data));
    t.equal((await bucket.get('empty')).length, 0);
    t.same(await bucket.uploads(), []);
    await nfs.rpc.closed;
    await t.rejects(RpcClient.connect({ host: '127.0.0.1', port: report.nfsPort }), /ECONNREFUSED/);
  },
);

await t.test('handles of files and directories go on working after a restart', async (t) => {
  const bucket = await Bucket.start(t, ['dir/sub/file']);
  let handles: Buffer[] | undefined;
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGKILL'] as const) {
    const { child, report } = await serveChild(t, bucket);
    const { nfs, root } = await mount(t, report);
    if (handles !== undefined) {
      const [directory = root, file = root] = handles;
      t.equal((await nfs.readFile(file)).toString(), 'dir/sub/file', 'by the handles of before');
      t.same((await nfs.lookup(directory, 'file')).handle, file);
      t.same(await namesIn(nfs, directory), ['file']);
    }
    handles = [await nfs.lookupPath(root, 'dir/sub'), await nfs.lookupPath(root, 'dir/sub/file')];
    await child.end(signal);
  }
});

await t.test('losing the state directory heals on the next path walk', async (t) => {
  const bucket = await Bucket.start(t, ['dir/file']);
  const secret = bucket.write('secret', 'a secret that is kept elsewhere than the state');
  const withState = (name: string, ...more: string[]) =>
    startIn(t, bucket, [`s3://${BUCKET}`, '--state-dir', `${bucket.directory}/${name}`, ...more]);
  const first = await withState('first', '--handle-secret-file', secret);
  const before = await mount(t, first.daemon.report);
  const old = await before.nfs.lookupPath(before.root, 'dir/file');
  await first.daemon.stop();

  const second = await withState('second', '--handle-secret-file', secret);
  const after = await mount(t, second.daemon.report);
  t.equal(await statusOf(after.nfs.getattr(old)), 'NFS3ERR_STALE', 'until somebody walks there');
  t.same(await after.nfs.lookupPath(before.root, 'dir/file'), old, 'from the root that is mounted');
  t.equal((await after.nfs.readFile(old)).toString(), 'dir/file');
  await second.daemon.stop();

  const third = await withState('third');
  const anew = await mount(t, third.daemon.report);
  t.equal(await statusOf(anew.nfs.getattr(old)), 'NFS3ERR_BADHANDLE', 'sealed by a secret that is lost, too');
  t.equal((await anew.nfs.readFile(await anew.nfs.lookupPath(anew.root, 'dir/file'))).toString(), 'dir/file');
});

await t.test('the portmapper tells the ports, by TCP and UDP', async (t) => {
  const bucket = await Bucket.start(t);
  const started = await startIn(t, bucket, [`s3://${BUCKET}`, '--portmap', 'auto', '--mount-port', '0']);
  const { report } = started.daemon;
  if (report.portmap.mode !== 'embedded') {
    t.comment(`port 111 is not to be had: ${report.portmap.reason ?? 'the system’s rpcbind has it'}`);
    return;
  }
  for (const transport of ['tcp', 'udp'] as const) {
    const rpc = await RpcClient.connect({ host: '127.0.0.1', port: 111, transport });
    t.teardown(() => rpc.close());
    const portOf = async (prog: number, vers: number, prot: number) =>
      rpc.call(PORTMAP2, 'GETPORT', { prog, vers, prot, port: 0 });
    t.equal(await portOf(NFS3.number, 3, IPPROTO_TCP), report.nfsPort);
    t.equal(await portOf(NFS3.number, 3, IPPROTO_UDP), 0);
    t.equal(await portOf(MOUNT3.number, 3, IPPROTO_TCP), report.mountPort);
    t.equal(await portOf(MOUNT3.number, 3, IPPROTO_UDP), report.mountPort);
    t.equal(await portOf(MOUNT3.number, 1, IPPROTO_UDP), report.mountPort);
    t.equal(await portOf(100021, 4, IPPROTO_TCP), 0);
    const mappings = await rpc.call(PORTMAP2, 'DUMP', undefined);
    t.ok(
      mappings.some(({ prog, vers, port }) => prog === NFS3.number && vers === 3 && port === report.nfsPort),
    );
  }
});
