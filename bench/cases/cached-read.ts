/** A file read once more, right after the first time: what it costs when nothing has to be fetched. The floor is GETs of the same bytes. */
import { httpLoad, rangedGets } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, rawSample, serve, time, totalCpu, type Case } from '../measure.js';
import { GIB, MIB } from '../pattern.js';
import { Nginx } from '../stores/nginx.js';

/** A quarter of the default memory limit. */
const FILE_BYTES = 64 * MIB;
const PART_BYTES = 8 * MIB;
const TRANSFER_BYTES = MIB;
const DEPTH = 8;
const SEED = 4;
/** CPU is told in steps of 10 ms. */
const TIMES = 4;

export const cachedRead: Case = {
  name: 'cached-read',
  about: `a file of ${FILE_BYTES / MIB} MiB in READs of ${TRANSFER_BYTES / MIB} MiB, ${DEPTH} in flight, ${TIMES} times behind a first that isn't counted, every byte compared`,
  prepare: async (setup) => {
    const bytes = Math.ceil((FILE_BYTES * setup.size) / PART_BYTES) * PART_BYTES;
    const store = await Nginx.start();
    setup.defer(() => store.close());
    const names = Array.from({ length: setup.rounds + 1 }, (_, round) => `cached-${round}`);
    const [first = '', ...others] = names;
    await store.put(first, SEED, bytes, others);
    const { daemon, nfs, root } = await serve(setup, store);
    const plan = rangedGets(Nginx.target(first), bytes, PART_BYTES);
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
      },
      work: async (round) => {
        const { handle } = await nfs.lookup(root, names[round] ?? '');
        const read = { seed: SEED, size: bytes, transfer: TRANSFER_BYTES, depth: DEPTH };
        const once = () => nfsLoad(daemon.port, { mode: 'read', handle, ...read });
        await once();
        return daemonSample(
          daemon,
          store,
          (load) => load.bytes / GIB,
          async () => {
            let sum = await once();
            for (let time = 1; time < TIMES; time++) {
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
          },
        );
      },
      ratios: { totalCpu: over('raw', totalCpu), daemonCpu: over('raw', ownCpu), time: over('raw', time) },
    };
  },
};
