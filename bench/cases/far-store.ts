/**
 * A store that is far away: time is spent on waiting, and what counts is how many requests are under way. The floors are the raw client with one
 * connection and with several.
 */
import { httpLoad, rangedGets, type PlannedRequest } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import {
  daemonSample,
  over,
  rawSample,
  serve,
  time,
  type Case,
  type Floor,
  type Prepared,
  type Setup,
} from '../measure.js';
import { GIB, KIB, MIB } from '../pattern.js';
import { FarStore, type Distance } from '../stores/far.js';
import { Nginx } from '../stores/nginx.js';
import { Sink } from '../stores/sink.js';
import type { Store } from '../stores/store.js';

const FAR: Distance = { wait: '30ms', speed: '8MB/s' };
const NEARER: Distance = { wait: '15ms', speed: '8MB/s' };
/** As fast as the proxy is. */
const UNSHAPED: Distance = { wait: '15ms' };
/** Beyond the memory limit's share of one reader. */
const FILE_BYTES = 256 * MIB;
/** Seconds at what all connections together give: the start is a small part of it. */
const LONG_BYTES = 1024 * MIB;
const PART_BYTES = 8 * MIB;
/** One connection at 8 MB/s would take half a minute for the whole. */
const ONE_BYTES = 32 * MIB;
const CONNECTIONS = 8;
/** What a sustained write is held to. */
const CONNECTIONS_OF_A_WRITE = 16;
/** As many as one stream may have (src/read/options.ts). */
const CONNECTIONS_MAX = 32;
const TRANSFER_BYTES = MIB;
/** As Linux reads ahead by itself. */
const READ_BYTES = 128 * KIB;
const DEPTH = 8;
const SEED = 3;
const FILES = 200;
const SMALL_BYTES = 16 * KIB;

const ABOUT_FAR = about(FAR);

function about({ wait, speed }: Distance): string {
  return `${wait} to the first byte, ${speed ?? 'any speed'}${speed === undefined ? '' : ' a connection'}`;
}

/** The raw client with one connection on the plan's beginning, and with several on all of it; `units` by request. */
function floors(
  store: Store,
  plan: readonly PlannedRequest[],
  ofOne: number,
  units: number,
): Readonly<Record<string, Floor>> {
  const floor = (connections: number, requests: readonly PlannedRequest[]): Floor => ({
    about: `raw client in C, ${connections} connections, one request at a time each`,
    run: () =>
      rawSample(store, requests.length * units, () => httpLoad(store.url, requests, { connections })),
  });
  return {
    one: floor(1, plan.slice(0, ofOne)),
    eight: floor(CONNECTIONS, plan),
    sixteen: floor(CONNECTIONS_OF_A_WRITE, plan),
    thirtyTwo: floor(CONNECTIONS_MAX, plan),
  };
}

const RATIOS = {
  timeToOne: over('one', time),
  timeToEight: over('eight', time),
  timeToSixteen: over('sixteen', time),
  timeToThirtyTwo: over('thirtyTwo', time),
};

function sequentialRead(name: string, fileBytes: number, distance: Distance): Case {
  return {
    name,
    about: `a file of ${fileBytes / MIB} MiB in READs of ${READ_BYTES / KIB} KiB, ${DEPTH} in flight, every byte compared; the store ${about(distance)}`,
    prepare: async (setup) => await prepareRead(setup, fileBytes, distance),
  };
}

async function prepareRead(setup: Setup, fileBytes: number, distance: Distance): Promise<Prepared> {
  const bytes = Math.ceil((fileBytes * setup.size) / PART_BYTES) * PART_BYTES;
  const near = await Nginx.start();
  setup.defer(() => near.close());
  const names = Array.from({ length: setup.rounds + 1 }, (_, round) => `far-${round}`);
  const [first = '', ...others] = names;
  await near.put(first, SEED, bytes, others);
  const store = await FarStore.start(near, distance);
  setup.defer(() => store.close());
  const { daemon, nfs, root } = await serve(setup, store);
  const plan = rangedGets(Nginx.target(first), bytes, PART_BYTES);
  return {
    unit: 'GiB',
    floors: floors(store, plan, ONE_BYTES / PART_BYTES, PART_BYTES / GIB),
    work: async (round) => {
      const { handle } = await nfs.lookup(root, names[round] ?? '');
      const read = { seed: SEED, size: bytes, transfer: READ_BYTES, depth: DEPTH };
      return daemonSample(
        daemon,
        store,
        (load) => load.bytes / GIB,
        () => nfsLoad(daemon.port, { mode: 'read', handle, ...read }),
      );
    },
    ratios: RATIOS,
  };
}

export const sequentialReadFar = sequentialRead('sequential-read-far', FILE_BYTES, FAR);
export const sequentialReadFarLong = sequentialRead('sequential-read-far-long', LONG_BYTES, FAR);
export const sequentialReadFarUnshaped = sequentialRead('sequential-read-far-unshaped', LONG_BYTES, UNSHAPED);

export const sequentialWriteFar: Case = {
  name: 'sequential-write-far',
  about: `a file of ${FILE_BYTES / MIB} MiB in UNSTABLE WRITEs of 1 MiB, ${DEPTH} in flight, then COMMIT; the store ${ABOUT_FAR}; a first round is compared in the store`,
  prepare: async (setup) => {
    const bytes = Math.ceil((FILE_BYTES * setup.size) / PART_BYTES) * PART_BYTES;
    const near = await Sink.start();
    setup.defer(() => near.close());
    const store = await FarStore.start(near, FAR);
    setup.defer(() => store.close());
    const { daemon, nfs, root } = await serve(setup, store);
    const plan = Array.from({ length: bytes / PART_BYTES }, (_, index): PlannedRequest => {
      return { method: 'PUT', target: `/bench/raw/${index}`, length: PART_BYTES };
    });
    return {
      unit: 'GiB',
      floors: floors(store, plan, ONE_BYTES / PART_BYTES, PART_BYTES / GIB),
      work: async (round) => {
        const { handle } = await nfs.create(root, `far-${round}`, { mode: 0o644 });
        const write = { seed: round, size: bytes, transfer: TRANSFER_BYTES, depth: DEPTH };
        const run = () =>
          daemonSample(
            daemon,
            store,
            (load) => load.bytes / GIB,
            () => nfsLoad(daemon.port, { mode: 'write', handle, ...write }),
          );
        return round === 0 ? await near.checked(bytes, run) : await run();
      },
      ratios: RATIOS,
    };
  },
};

export const smallReadFar: Case = {
  name: 'small-read-far',
  about: `${FILES} files of ${SMALL_BYTES / KIB} KiB never read before: LOOKUP, READ; ${DEPTH} at a time, every byte compared; the store ${NEARER.wait} to the first byte`,
  prepare: async (setup) => {
    const count = Math.ceil(FILES * setup.size);
    const near = await Nginx.start();
    setup.defer(() => near.close());
    const directories = Array.from({ length: setup.rounds + 1 }, (_, round) => `far-${round}`);
    const [first = '', ...others] = directories;
    for (let index = 0; index < count; index++) {
      const keys = others.map((directory) => `${directory}/f-${index}`);
      await near.put(`${first}/f-${index}`, index, SMALL_BYTES, keys);
    }
    const store = await FarStore.start(near, NEARER);
    setup.defer(() => store.close());
    const { daemon, nfs, root } = await serve(setup, store);
    const plan = Array.from({ length: count }, (_, index): PlannedRequest => {
      return { method: 'GET', target: Nginx.target(`${first}/f-${index}`), length: SMALL_BYTES };
    });
    return {
      unit: 'call',
      floors: floors(store, plan, Math.ceil(count / CONNECTIONS), 1),
      work: async (round) => {
        const { handle: directory } = await nfs.lookup(root, directories[round] ?? '');
        const files = { count, size: SMALL_BYTES, depth: DEPTH };
        return daemonSample(
          daemon,
          store,
          () => count,
          () => nfsLoad(daemon.port, { mode: 'files', directory, ...files }),
        );
      },
      ratios: RATIOS,
    };
  },
};
