/**
 * A sequential write. Two floors: the raw client's PUTs of the same bytes in the daemon's part size, and what one would write first, a relay that
 * receives the bytes and uploads them by the SDK as it comes (sdk-relay.ts).
 */
import { httpLoad, type PlannedRequest } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, rawSample, serve, time, totalCpu, type Case } from '../measure.js';
import { GIB, MIB } from '../pattern.js';
import { SdkRelay } from '../sdk-relay-process.js';
import { Sink } from '../stores/sink.js';

const FILE_BYTES = 512 * MIB;
const PART_BYTES = 8 * MIB;
const CONNECTIONS = 8;
/** A kernel's wsize, and WRITEs in flight. */
const TRANSFER_BYTES = MIB;
const DEPTH = 8;
const FLOOR_REPEAT = 2;

export const sequentialWrite: Case = {
  name: 'sequential-write',
  about: `a file of ${FILE_BYTES / MIB} MiB in UNSTABLE WRITEs of ${TRANSFER_BYTES / MIB} MiB, ${DEPTH} in flight, then COMMIT; a first round is compared in the store`,
  prepare: async (setup) => {
    const bytes = Math.ceil((FILE_BYTES * setup.size) / PART_BYTES) * PART_BYTES;
    const store = await Sink.start();
    setup.defer(() => store.close());
    const relay = await SdkRelay.start(store.url);
    setup.defer(() => relay.close());
    const { daemon, nfs, root } = await serve(setup, store);
    const plan = Array.from({ length: bytes / PART_BYTES }, (_, index): PlannedRequest => {
      return { method: 'PUT', target: `/bench/raw/${index}`, length: PART_BYTES };
    });
    return {
      unit: 'GiB',
      floors: {
        raw: {
          about: `raw client in C, ${CONNECTIONS} connections, PUTs of ${PART_BYTES / MIB} MiB to the same sink`,
          run: () =>
            rawSample(store, (bytes / GIB) * FLOOR_REPEAT, () =>
              httpLoad(store.url, plan, { connections: CONNECTIONS, repeat: FLOOR_REPEAT }),
            ),
        },
        sdk: {
          about:
            "a relay in Node that receives the bytes and uploads parts of 8 MiB by the SDK with its defaults; its CPU stands as the daemon's",
          run: async () => {
            const cpuBefore = relay.cpuSeconds();
            const sample = await rawSample(store, bytes / GIB, () =>
              nfsLoad(relay.port, { mode: 'stream', size: bytes }),
            );
            return { ...sample, daemonCpu: relay.cpuSeconds() - cpuBefore };
          },
        },
      },
      work: async (round) => {
        const { handle } = await nfs.create(root, `write-${round}`, { mode: 0o644 });
        const write = { seed: round, size: bytes, transfer: TRANSFER_BYTES, depth: DEPTH };
        const run = () =>
          daemonSample(
            daemon,
            store,
            (load) => load.bytes / GIB,
            () => nfsLoad(daemon.port, { mode: 'write', handle, ...write }),
          );
        return round === 0 ? await store.checked(bytes, run) : await run();
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
