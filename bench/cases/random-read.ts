/** Random reads of pages: the floors are GETs of pages, by the raw client and by the SDK. */
import { httpLoad, type PlannedRequest } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, rawSample, serve, time, totalCpu, type Case } from '../measure.js';
import { KIB, MIB } from '../pattern.js';
import { SdkClient, sdkFloor } from '../sdk-client-process.js';
import { Nginx } from '../stores/nginx.js';

const FILE_BYTES = 512 * MIB;
const PAGE_BYTES = 4 * KIB;
/** Enough for the daemon's code to be compiled: with 2,000 the first rounds take twice the CPU of later ones. */
const READS = 10_000;
const DEPTH = 32;
const SEED = 2;
const FLOOR_REPEAT = 10;

export const randomRead: Case = {
  name: 'random-read',
  about: `READs of ${PAGE_BYTES / KIB} KiB at ${READS} random pages of ${FILE_BYTES / MIB} MiB, ${DEPTH} in flight, every byte compared`,
  prepare: async (setup) => {
    const reads = Math.ceil(READS * setup.size);
    const store = await Nginx.start();
    setup.defer(() => store.close());
    const names = Array.from({ length: setup.rounds + 1 }, (_, round) => `random-${round}`);
    const [first = '', ...others] = names;
    await store.put(first, SEED, FILE_BYTES, others);
    const { daemon, nfs, root } = await serve(setup, store);
    const sdk = await SdkClient.start(store.url);
    setup.defer(() => sdk.close());
    const plan = Array.from({ length: reads }, (_, index): PlannedRequest => {
      // Any order that jumps about: a prime number of pages at a time.
      const offset = ((index * 7919) % (FILE_BYTES / PAGE_BYTES)) * PAGE_BYTES;
      return { method: 'GET', target: Nginx.target(first), offset, length: PAGE_BYTES };
    });
    return {
      unit: 'call',
      floors: {
        raw: {
          about: `raw client in C, ${DEPTH} connections, GETs of ${PAGE_BYTES / KIB} KiB from the same nginx`,
          run: () =>
            rawSample(store, reads * FLOOR_REPEAT, () =>
              httpLoad(store.url, plan, { connections: DEPTH, repeat: FLOOR_REPEAT }),
            ),
        },
        sdk: sdkFloor(sdk, store, `${DEPTH} GETs of ${PAGE_BYTES / KIB} KiB at a time`, () => ({
          units: reads,
          concurrency: DEPTH,
          requests: plan.map(({ offset = 0, length = 0 }) => ({ method: 'GET', key: first, offset, length })),
        })),
      },
      work: async (round) => {
        const { handle } = await nfs.lookup(root, names[round] ?? '');
        const random = { seed: SEED, size: FILE_BYTES, count: reads, depth: DEPTH, order: round };
        return daemonSample(
          daemon,
          store,
          () => reads,
          () => nfsLoad(daemon.port, { mode: 'random', handle, ...random }),
        );
      },
      ratios: {
        totalCpu: over('raw', totalCpu),
        daemonCpu: over('raw', ownCpu),
        daemonCpuToSdk: over('sdk', ownCpu),
        time: over('raw', time),
      },
    };
  },
};
