/**
 * Hostile bytes against the daemon as it runs: every procedure's arguments whole, cut at every offset and with bits flipped; headers
 * of any content; streams that break the record marking; clients that flood, dawdle, or don't read. It answers or cuts, goes on
 * serving the others, and doesn't grow. S3NFSD_TEST_HOSTILE_RECORDS raises the number of records (default 20,000).
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import fc from '../support/fast-check.js';
import t from 'tap';
import { NFS3 } from '../../protocol/nfs3/program.js';
import type { ProcedureName } from '../../protocol/program.js';
import { encodeRecord, recordMark } from '../../protocol/record-marking.js';
import { rpc_msg } from '../../protocol/rpc.js';
import { XdrReader, XdrWriter } from '../../protocol/xdr-cursors.js';
import { statusOf, type NfsClient } from '../support/nfs-client.js';
import { NFS3_ARBITRARIES } from '../support/nfs3-arbitraries.js';
import { anonymousKiB } from '../support/process-memory.js';
import { encodeCall, RpcClient, systemCredential } from '../support/rpc-client.js';
import { Bucket, BUCKET, MIB, mount, serveChild } from './fixture.js';

const RECORDS = Number(process.env['S3NFSD_TEST_HOSTILE_RECORDS'] ?? 20_000);
const SEED = Number(process.env['S3NFSD_TEST_SEED'] ?? 20_260_101);
const BATCH = 250;
/** NFS3ERR_SERVERFAULT: a defect, whatever was asked. */
const SERVERFAULT = 10_006;
const credential = systemCredential(0, 0);

type Name = ProcedureName<typeof NFS3>;
const NAMES = Object.keys(NFS3.procedures) as Name[];
/** Sizes and offsets of these are kept small where they meet a real file: nobody wants terabytes of zeros in S3. */
const SIZED = new Set<Name>(['WRITE', 'SETATTR', 'CREATE']);
const HANDLE_FIELDS = new Set(['object', 'file', 'dir', 'symlink', 'fsroot']);

/** A generator of numbers below `bound`, the same for the same seed. */
function randomOf(seed: number): (bound: number) => number {
  let state = seed >>> 0 || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

/** `args` with real handles in place of most of its arbitrary ones. */
function withHandles(args: unknown, handles: readonly Buffer[], random: (bound: number) => number): unknown {
  if (typeof args !== 'object' || args === null || Buffer.isBuffer(args)) return args;
  return Object.fromEntries(
    Object.entries(args).map(([key, value]: [string, unknown]) => {
      const isHandle = HANDLE_FIELDS.has(key) && Buffer.isBuffer(value);
      if (isHandle && random(4) > 0) return [key, handles[random(handles.length)]];
      if ((key === 'size' || key === 'offset') && typeof value === 'bigint') return [key, value % 65_536n];
      return [key, withHandles(value, handles, random)];
    }),
  );
}

function encodeArgs(name: Name, args: unknown): Buffer {
  const writer = new XdrWriter();
  NFS3.procedures[name].args.encode(writer, args as never);
  return Buffer.concat(writer.finish());
}

function flipped(bytes: Buffer, random: (bound: number) => number, bits: number): Buffer {
  const copy = Buffer.from(bytes);
  for (let flip = 0; flip < bits && copy.length > 0; flip++) {
    const at = random(copy.length);
    copy.writeUInt8(copy.readUInt8(at) ^ (1 << random(8)), at);
  }
  return copy;
}

interface Hostile {
  readonly name: Name;
  readonly args: Buffer;
}

/** Arguments of every procedure: as they should be, cut at every offset, with bits flipped. `count` in all, about. */
function* hostileArgs(handles: readonly Buffer[], count: number): Generator<Hostile> {
  const random = randomOf(SEED);
  for (let made = 0, round = 0; made < count; round++) {
    for (const name of NAMES) {
      const arbitrary: fc.Arbitrary<unknown> = NFS3_ARBITRARIES[name].args;
      const [args] = fc.sample(arbitrary, {
        numRuns: 1,
        seed: SEED + round,
      });
      const whole = encodeArgs(name, withHandles(args, handles, random));
      yield { name, args: whole };
      made++;
      // One round in eight is cut everywhere; the others get flips and tails.
      if (round % 8 === 0) {
        for (let length = 0; length < whole.length; length++, made++)
          yield { name, args: whole.subarray(0, length) };
      }
      const base = SIZED.has(name) ? encodeArgs(name, args) : whole;
      for (let mutation = 0; mutation < 8; mutation++, made++) {
        yield { name, args: flipped(base, random, 1 + random(4)) };
      }
      yield { name, args: Buffer.concat([whole, Buffer.alloc(1 + random(40), 0xff)]) };
      made++;
    }
  }
}

/** What is wrong with an answer; undefined for a good one. */
function fault(reply: Buffer): string | undefined {
  const reader = new XdrReader(reply);
  const { body } = rpc_msg.decode(reader);
  if (body.mtype !== 'REPLY' || body.rbody.reply_stat !== 'MSG_ACCEPTED') return undefined;
  const { stat } = body.rbody.areply.reply_data;
  if (stat === 'SYSTEM_ERR') return stat;
  if (stat === 'SUCCESS' && reader.remaining >= 4 && reader.u32() === SERVERFAULT) return 'SERVERFAULT';
  return undefined;
}

await t.test('hostile bytes', { timeout: 600_000 }, async (t) => {
  const bucket = await Bucket.start(t, ['file', 'dir/file', 'dir/sub/file']);
  const args = [`s3://${BUCKET}`, '--memory-limit', '32MiB', '--metadata-ttl', '1h'];
  const { child, report } = await serveChild(t, bucket, args);
  const { nfs, root } = await mount(t, report);
  const client = async () => {
    const rpc = await RpcClient.connect({ host: '127.0.0.1', port: report.nfsPort, credential });
    t.teardown(() => rpc.close());
    return rpc;
  };
  const handles = [
    root,
    await nfs.mnt('/'),
    await nfs.lookupPath(root, 'file'),
    await nfs.lookupPath(root, 'dir'),
    await nfs.lookupPath(root, 'dir/sub/file'),
    (await nfs.symlink(root, 'link', 'file')).handle,
  ];
  const stillServes = async (other: NfsClient) =>
    t.equal((await other.getattr(root)).type, 'NF3DIR', 'others are served');
  let warmKiB = 0;
  const grownKiB = () => anonymousKiB(report.pid) - warmKiB;
  /** The memory limit, the reply cache and the young generation, and as much again. */
  const GROWTH_KIB_MAX = 2 * (32 + 16 + 32) * 1024;

  await t.test('arguments of every procedure: whole, truncated at every offset, mutated', async (t) => {
    const rpc = await client();
    const faults: string[] = [];
    let sent = 0;
    let batch: Hostile[] = [];
    const flush = async () => {
      const answers = await Promise.all(
        batch.map(async ({ name, args }) => {
          const target = { prog: NFS3.number, vers: 3, proc: NFS3.procedures[name].number };
          return rpc.exchange(encodeCall(rpc.nextXid(), target, args, { credential }));
        }),
      );
      for (const [index, answer] of answers.entries()) {
        const wrong = fault(answer);
        if (wrong !== undefined)
          faults.push(`${wrong} to ${batch[index]?.name} ${batch[index]?.args.toString('hex')}`);
      }
      sent += batch.length;
      batch = [];
    };
    for (const hostile of hostileArgs(handles, RECORDS)) {
      batch.push(hostile);
      if (batch.length === BATCH) await flush();
      if (warmKiB === 0 && sent >= RECORDS / 4) warmKiB = anonymousKiB(report.pid);
    }
    await flush();
    t.ok(sent >= RECORDS, `${sent} records, each answered`);
    t.same(faults.slice(0, 5), [], `${faults.length} answers tell of a defect; seed ${SEED}`);
    t.ok(grownKiB() < GROWTH_KIB_MAX, `grew by ${grownKiB()} KiB`);
    await stillServes(nfs);
  });

  await t.test('forged, foreign and short handles', async (t) => {
    const own = await nfs.lookupPath(root, 'dir');
    const forged = [
      Buffer.alloc(0),
      Buffer.alloc(1),
      Buffer.alloc(64),
      Buffer.alloc(64, 0xff),
      own.subarray(0, own.length - 1),
      Buffer.concat([own, Buffer.alloc(4)]),
      ...Array.from({ length: own.length * 8 }, (_, bit) => {
        const copy = Buffer.from(own);
        copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        return copy;
      }),
    ];
    const statuses = new Set(await Promise.all(forged.map((handle) => statusOf(nfs.getattr(handle)))));
    t.same([...statuses], ['NFS3ERR_BADHANDLE']);
  });

  await t.test('RPC headers of any content', async () => {
    const random = randomOf(SEED + 1);
    const good = encodeCall(
      7,
      { prog: NFS3.number, vers: 3, proc: 1 },
      encodeArgs('GETATTR', { object: root }),
      {
        credential,
      },
    );
    for (let round = 0; round < 60; round++) {
      const rpc = await client();
      for (let at = 0; at < 20; at++) {
        const random32 = Buffer.from(Array.from({ length: random(200) }, () => random(256)));
        const message = random(2) === 0 ? flipped(good, random, 1 + random(6)) : random32;
        rpc.sendRaw(encodeRecord(message, random(3) === 0 ? 1 + random(50) : undefined));
      }
      rpc.socket.end();
      await rpc.closed;
    }
    for (let length = 0; length < good.length; length++) {
      const rpc = await client();
      rpc.sendRaw(encodeRecord(good.subarray(0, length)));
      rpc.socket.end();
      await rpc.closed;
    }
    await stillServes(nfs);
  });

  await t.test('streams that break the record marking', async (t) => {
    const word = (value: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value >>> 0);
      return bytes;
    };
    const streams = [
      word(recordMark(0x7fff_ffff)),
      word(recordMark(2 * MIB)),
      Buffer.concat(Array.from({ length: 10_000 }, () => word(0))),
      Buffer.concat([word(600_000), Buffer.alloc(600_000), word(recordMark(600_000)), Buffer.alloc(600_000)]),
      Buffer.concat(Array.from({ length: 10_000 }, () => Buffer.concat([word(1), Buffer.from('x')]))),
      word(recordMark(0)),
      Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      Buffer.alloc(MIB, 0xff),
      Buffer.alloc(MIB),
    ];
    for (const stream of streams) {
      const rpc = await client();
      rpc.sendRaw(stream);
      await rpc.closed;
    }
    await stillServes(nfs);
    t.ok(grownKiB() < GROWTH_KIB_MAX, `grew by ${grownKiB()} KiB`);
  });

  await t.test('a flood of connections', async (t) => {
    const sockets: Socket[] = [];
    const ends: Promise<unknown>[] = [];
    while (sockets.length < 1100) {
      // No more at a time than the daemon keeps waiting: the kernel drops the others, and tells nobody.
      const batch = Array.from({ length: 50 }, () => connect({ host: '127.0.0.1', port: report.nfsPort }));
      ends.push(...batch.map((socket) => once(socket.resume(), 'close')));
      sockets.push(...batch);
      await Promise.all(batch.map((socket) => once(socket, 'connect')));
      await nfs.ping();
    }
    // Beyond its limit the daemon closes; those that it has are served.
    await Promise.race(ends);
    await stillServes(nfs);
    for (const socket of sockets) socket.destroy();
    await Promise.all(ends);
    const late = await mount(t, report);
    await stillServes(late.nfs);
  });

  await t.test('records that never end', async (t) => {
    const held: Socket[] = [];
    const part = Buffer.alloc(600_000);
    part.writeUInt32BE(recordMark(MIB));
    for (let count = 0; count < 300; count++) {
      const socket = connect({ host: '127.0.0.1', port: report.nfsPort });
      socket.on('error', () => socket.destroy());
      await once(socket, 'connect');
      socket.write(part);
      held.push(socket);
    }
    await stillServes(nfs);
    t.ok(grownKiB() < GROWTH_KIB_MAX, `grew by ${grownKiB()} KiB`);
    for (const socket of held) socket.destroy();
    const { handle } = await nfs.create(root, 'afterwards');
    await nfs.write(handle, 0, Buffer.alloc(MIB, 'a'));
    t.equal((await bucket.head('afterwards')).ContentLength, MIB);
  });

  await t.test('clients that don’t take their replies', async (t) => {
    const { handle } = await nfs.lookup(root, 'afterwards');
    const read = encodeArgs('READ', { file: handle, offset: 0n, count: MIB });
    const dawdlers = await Promise.all(
      Array.from({ length: 30 }, async () => {
        const rpc = await client();
        rpc.socket.pause();
        const target = { prog: NFS3.number, vers: 3, proc: NFS3.procedures.READ.number };
        for (let at = 0; at < 40; at++)
          rpc.sendRaw(encodeRecord(encodeCall(rpc.nextXid(), target, read, { credential })));
        return rpc;
      }),
    );
    for (let round = 0; round < 20; round++) {
      await stillServes(nfs);
      t.equal((await nfs.readFile(handle)).length, MIB, 'others are read to');
    }
    // What a connection may owe, for each of them, on top.
    const owedKiB = 30 * 8 * 1024;
    t.ok(grownKiB() < GROWTH_KIB_MAX + owedKiB, `grew by ${grownKiB()} KiB`);
    for (const rpc of dawdlers) await rpc.close();
  });

  await t.test('afterwards it serves as before, and has told of no defect', async (t) => {
    const late = await mount(t, report);
    const { handle } = await late.nfs.create(late.root, 'last');
    await late.nfs.writeFile(handle, Buffer.from('as before'));
    t.equal(await bucket.text('last'), 'as before');
    t.ok(grownKiB() < GROWTH_KIB_MAX, `grew by ${grownKiB()} KiB in the end`);
    const { stderr } = await child.end('SIGTERM');
    const told = stderr.filter((line) => /"level":(50|60)/.test(line) || !line.startsWith('{'));
    t.same(told.slice(0, 5), []);
  });
});
