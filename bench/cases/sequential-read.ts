/** Sequential reads, plain and over TLS: the floors are GETs of the same bytes in the daemon's part size, by the raw client and by the SDK. */
import { httpLoad, rangedGets } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import {
  daemonSample,
  over,
  ownCpu,
  rawSample,
  serve,
  time,
  totalCpu,
  type Case,
  type Prepared,
  type Setup,
} from '../measure.js';
import { GIB, MIB } from '../pattern.js';
import { SdkClient, sdkFloor } from '../sdk-client-process.js';
import { Nginx } from '../stores/nginx.js';

/** Sixteen times the memory limit, and so long that the compiler is done with the daemon early: with `--size 0.125` that takes a fifth of its CPU. */
const FILE_BYTES = 4096 * MIB;
/** As the daemon's `--part-size`. */
const PART_BYTES = 8 * MIB;
const CONNECTIONS = 8;
/** A kernel's rsize, and READs in flight. */
const TRANSFER_BYTES = MIB;
const DEPTH = 8;
const SEED = 1;
/** The raw client is done so soon that the store's CPU, told in steps of 10 ms, would be a guess. */
const FLOOR_REPEAT = 2;

async function prepare(setup: Setup, tls: boolean): Promise<Prepared> {
  const bytes = Math.ceil((FILE_BYTES * setup.size) / PART_BYTES) * PART_BYTES;
  const store = await Nginx.start({ tls });
  setup.defer(() => store.close());
  // The same bytes by another name in each round: nothing of them is in the daemon's memory.
  const names = Array.from({ length: setup.rounds + 1 }, (_, round) => `read-${round}`);
  const [first = '', ...others] = names;
  await store.put(first, SEED, bytes, others);
  const server = tls && store.tls !== undefined ? store.tls : { url: store.url };
  const { daemon, nfs, root } = await serve(setup, server);
  const sdk = await SdkClient.start(server.url, tls ? store.tls?.certificateFile : undefined);
  setup.defer(() => sdk.close());
  const plan = rangedGets(Nginx.target(first), bytes, PART_BYTES);
  const raw = { connections: CONNECTIONS, repeat: FLOOR_REPEAT, ...server };
  return {
    unit: 'GiB',
    floors: {
      raw: {
        about: `raw client in C, ${CONNECTIONS} connections, GETs of ${PART_BYTES / MIB} MiB from the same nginx`,
        run: () => rawSample(store, (bytes / GIB) * FLOOR_REPEAT, () => httpLoad(server.url, plan, raw)),
      },
      sdk: sdkFloor(sdk, store, `${CONNECTIONS} GETs of ${PART_BYTES / MIB} MiB at a time`, () => ({
        units: bytes / GIB,
        concurrency: CONNECTIONS,
        requests: plan.map(({ offset = 0, length = 0 }) => ({ method: 'GET', key: first, offset, length })),
      })),
    },
    work: async (round) => {
      const { handle } = await nfs.lookup(root, names[round] ?? '');
      const read = { seed: SEED, size: bytes, transfer: TRANSFER_BYTES, depth: DEPTH };
      return daemonSample(
        daemon,
        store,
        (load) => load.bytes / GIB,
        () => nfsLoad(daemon.port, { mode: 'read', handle, ...read }),
      );
    },
    ratios: {
      totalCpu: over('raw', totalCpu),
      daemonCpu: over('raw', ownCpu),
      daemonCpuToSdk: over('sdk', ownCpu),
      time: over('raw', time),
    },
  };
}

const ABOUT = `a file of ${FILE_BYTES / MIB} MiB in READs of ${TRANSFER_BYTES / MIB} MiB, ${DEPTH} in flight, every byte compared`;

export const sequentialRead: Case = {
  name: 'sequential-read',
  about: ABOUT,
  prepare: (setup) => prepare(setup, false),
};

export const sequentialReadTls: Case = {
  name: 'sequential-read-tls',
  about: `${ABOUT}; the store over TLS`,
  prepare: (setup) => prepare(setup, true),
};
