/**
 * A file read once more, right after the first time: what it costs when nothing has to be fetched. The floors are GETs of the same bytes, and a server
 * that only replies.
 */
import { httpLoad, rangedGets } from '../clients/http-load.js';
import { nfsLoad, type NfsLoad } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, rawSample, serve, time, totalCpu, type Case } from '../measure.js';
import { GIB, KIB, MIB } from '../pattern.js';
import { ReplyOnly } from '../reply-only-process.js';
import { Nginx } from '../stores/nginx.js';

/** A quarter of the default memory limit. */
const FILE_BYTES = 64 * MIB;
const PART_BYTES = 8 * MIB;
const DEPTH = 8;
const SEED = 4;
/** CPU is told in steps of 10 ms, and code that is run for the first time costs many times over: the work is some GiB. */
const TIMES = 48;

function cachedReads(name: string, transfer: number): Case {
  return {
    name,
    about: `a file of ${FILE_BYTES / MIB} MiB in READs of ${transfer / KIB} KiB, ${DEPTH} in flight, ${TIMES} times behind a first that isn't counted, every byte compared`,
    prepare: async (setup) => {
      const bytes = Math.ceil((FILE_BYTES * setup.size) / PART_BYTES) * PART_BYTES;
      const store = await Nginx.start();
      setup.defer(() => store.close());
      const names = Array.from({ length: setup.rounds + 1 }, (_, round) => `cached-${round}`);
      const [first = '', ...others] = names;
      await store.put(first, SEED, bytes, others);
      const { daemon, nfs, root } = await serve(setup, store);
      const replyOnly = await ReplyOnly.start(SEED, bytes);
      setup.defer(() => replyOnly.close());
      const plan = rangedGets(Nginx.target(first), bytes, PART_BYTES);
      const read = (port: number, handle: Buffer): Promise<NfsLoad> =>
        nfsLoad(port, { mode: 'read', handle, seed: SEED, size: bytes, transfer, depth: DEPTH });
      const volume = (load: NfsLoad): number => load.bytes / GIB;
      return {
        unit: 'GiB',
        floors: {
          raw: {
            about: `raw client in C, ${DEPTH} connections, GETs of ${PART_BYTES / MIB} MiB from the same nginx, ${TIMES} times`,
            run: () =>
              rawSample(store, (TIMES * bytes) / GIB, () =>
                httpLoad(store.url, plan, { connections: DEPTH, repeat: TIMES }),
              ),
          },
          reply: {
            about: `the same READs, answered by a Node process with a header and a slice of one buffer`,
            run: async () => {
              const handle = Buffer.alloc(32);
              await read(replyOnly.port, handle);
              return daemonSample(replyOnly, store, volume, () =>
                repeated(() => read(replyOnly.port, handle)),
              );
            },
          },
        },
        work: async (round) => {
          const { handle } = await nfs.lookup(root, names[round] ?? '');
          await read(daemon.port, handle);
          return daemonSample(daemon, store, volume, () => repeated(() => read(daemon.port, handle)));
        },
        ratios: {
          totalCpu: over('raw', totalCpu),
          daemonCpu: over('raw', ownCpu),
          time: over('raw', time),
          daemonCpuToReply: over('reply', ownCpu),
          timeToReply: over('reply', time),
        },
      };
    },
  };
}

/** The sum of as many loads, one after the other. */
async function repeated(once: () => Promise<NfsLoad>): Promise<NfsLoad> {
  let sum = await once();
  for (let count = 1; count < TIMES; count++) {
    const load = await once();
    sum = {
      ...load,
      calls: sum.calls + load.calls,
      bytes: sum.bytes + load.bytes,
      jukebox: sum.jukebox + load.jukebox,
      seconds: sum.seconds + load.seconds,
      cpuSeconds: sum.cpuSeconds + load.cpuSeconds,
      checkSeconds: sum.checkSeconds + load.checkSeconds,
    };
  }
  return sum;
}

export const cachedRead = cachedReads('cached-read', MIB);
export const cachedReadShort = cachedReads('cached-read-128k', 128 * KIB);
