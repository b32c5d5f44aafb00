/** The XDR codec, in this process: the floor is @stellar/js-xdr on the same messages. Both are shown to make the same bytes first. */
import { READ3res, READDIRPLUS3res, WRITE3args } from '../../protocol/nfs3/messages.js';
import type { fattr3 } from '../../protocol/nfs3/types.js';
import { decode, encode, type Codec } from '../../protocol/xdr.js';
import { over, ownCpu, time, type Case, type Sample } from '../measure.js';
import { KIB } from '../pattern.js';
import { hyper, jsXdrType, made, member } from './js-xdr-types.js';

const ENTRIES = 100;
const WRITE_BYTES = 64 * KIB;
const TIME = { seconds: 1_700_000_000, nseconds: 123_456_789 };
const HANDLE = Buffer.alloc(32, 0x5a);

const ATTRIBUTES: fattr3 = {
  type: 'NF3REG',
  mode: 0o644,
  nlink: 1,
  uid: 1000,
  gid: 1000,
  size: 123_456n,
  used: 126_976n,
  rdev: { specdata1: 0, specdata2: 0 },
  fsid: 0x1234_5678_9abc_def0n,
  fileid: 42n,
  atime: TIME,
  mtime: TIME,
  ctime: TIME,
};

function theirAttributes(): unknown {
  const when = made('nfstime3', TIME);
  return made('fattr3', {
    ...ATTRIBUTES,
    type: member('ftype3', 'NF3REG'),
    size: hyper(ATTRIBUTES.size),
    used: hyper(ATTRIBUTES.used),
    rdev: made('specdata3', ATTRIBUTES.rdev),
    fsid: hyper(ATTRIBUTES.fsid),
    fileid: hyper(ATTRIBUTES.fileid),
    atime: when,
    mtime: when,
    ctime: when,
  });
}

/** A case of one message: `ours` by the codec, `theirs` by @stellar/js-xdr's type `type`. */
function codecCase<T>(options: {
  readonly name: string;
  readonly about: string;
  readonly calls: number;
  readonly codec: Codec<T>;
  readonly ours: T;
  readonly type: string;
  readonly theirs: () => { toXDR(): Buffer };
}): Case {
  const { name, about, codec, ours } = options;
  return {
    name,
    about: `${about}, encoded and decoded`,
    prepare: async ({ size }) => {
      const calls = Math.ceil(options.calls * size);
      const theirs = options.theirs();
      const type = jsXdrType(options.type);
      const bytes = encode(codec, ours);
      if (!bytes.equals(theirs.toXDR())) throw new Error(`${name}: the codecs disagree`);
      return {
        unit: 'call',
        floors: {
          jsXdr: {
            about: '@stellar/js-xdr, the same message',
            run: async () =>
              inProcess(calls, () => {
                theirs.toXDR();
                type.fromXDR(bytes);
              }),
          },
        },
        work: async () =>
          inProcess(calls, () => {
            encode(codec, ours);
            decode(codec, bytes);
          }),
        ratios: { cpu: over('jsXdr', ownCpu), time: over('jsXdr', time) },
      };
    },
  };
}

/** CPU of this process, in the place of the daemon's. */
function inProcess(calls: number, work: () => void): Sample {
  const before = process.cpuUsage();
  const beganMs = performance.now();
  for (let call = 0; call < calls; call++) work();
  const seconds = (performance.now() - beganMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { units: calls, seconds, daemonCpu: (user + system) / 1e6 };
}

const readReply = codecCase({
  name: 'xdr-read-reply',
  about: 'READ3res, attributes and no data: what a READ is answered with besides its bytes',
  calls: 100_000,
  codec: READ3res,
  ours: {
    status: 'NFS3_OK',
    resok: { file_attributes: ATTRIBUTES, count: 0, eof: false, data: [] },
  },
  type: 'READ3res',
  theirs: () => {
    const fields = { fileAttributes: theirAttributes(), count: 0, eof: false, data: Buffer.alloc(0) };
    return member('READ3res', 'NFS3_OK', made('READ3resok', fields));
  },
});

const readdirplusPage = codecCase({
  name: 'xdr-readdirplus-page',
  about: `READDIRPLUS3res of ${ENTRIES} entries with attributes and handles`,
  calls: 1000,
  codec: READDIRPLUS3res,
  ours: {
    status: 'NFS3_OK',
    resok: {
      dir_attributes: ATTRIBUTES,
      cookieverf: Buffer.alloc(8),
      reply: {
        entries: Array.from({ length: ENTRIES }, (_, index) => ({
          fileid: BigInt(index),
          name: nameOf(index),
          cookie: BigInt(index),
          name_attributes: ATTRIBUTES,
          name_handle: HANDLE,
        })),
        eof: true,
      },
    },
  },
  type: 'READDIRPLUS3res',
  theirs: () => {
    const attributes = theirAttributes();
    let entries: unknown;
    for (let index = ENTRIES - 1; index >= 0; index--) {
      const id = hyper(BigInt(index));
      const entry = { fileid: id, name: nameOf(index), cookie: id, nameAttributes: attributes };
      entries = made('entryplus3', { ...entry, nameHandle: HANDLE, nextentry: entries });
    }
    const fields = { dirAttributes: attributes, cookieverf: Buffer.alloc(8), entries, eof: true };
    return member('READDIRPLUS3res', 'NFS3_OK', made('READDIRPLUS3resok', fields));
  },
});

function nameOf(index: number): Buffer {
  return Buffer.from(`file-${String(index).padStart(6, '0')}`);
}

const writeCall = {
  file: HANDLE,
  count: WRITE_BYTES,
  data: Buffer.alloc(WRITE_BYTES, 0xa5),
};
const writeArguments = codecCase({
  name: 'xdr-write-args',
  about: `WRITE3args of ${WRITE_BYTES / KIB} KiB`,
  calls: 10_000,
  codec: WRITE3args,
  ours: { ...writeCall, offset: 0x1_0000_0000n, stable: 'UNSTABLE' },
  type: 'WRITE3args',
  theirs: () =>
    made('WRITE3args', {
      ...writeCall,
      offset: hyper(0x1_0000_0000n),
      stable: member('stable_how', 'UNSTABLE'),
    }),
});

export const XDR_CASES: readonly Case[] = [readReply, readdirplusPage, writeArguments];
