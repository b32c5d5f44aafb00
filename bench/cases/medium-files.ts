/**
 * Files of a few MiB from a store that is far away, one after the other in the order of their directory: the floor asks for each whole, over one
 * connection. What 32 connections give that ask for many at a time is the most that could be had.
 */
import { httpLoad, type PlannedRequest } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import {
  daemonSample,
  over,
  rawSample,
  serve,
  time,
  type Case,
  type Prepared,
  type Setup,
} from '../measure.js';
import { GIB, KIB, MIB } from '../pattern.js';
import { FarStore, type Distance } from '../stores/far.js';
import { Nginx } from '../stores/nginx.js';

const FILES = 40;
const FILE_BYTES = 5 * MIB;
/** Of them the floor asks for so many: one takes two thirds of a second. */
const FILES_OF_FLOOR = 5;
/** As many as one stream may have (src/read/options.ts). */
const CONNECTIONS_MAX = 32;
/** What Linux has in flight when it reads a file front to back. */
const READ_BYTES = 128 * KIB;
const DEPTH = 2;
const SHAPED: Distance = { wait: '15ms', speed: '8MB/s' };
const UNSHAPED: Distance = { wait: '15ms' };

function about({ wait, speed }: Distance): string {
  const reads = `READs of ${READ_BYTES / KIB} KiB, ${DEPTH} in flight`;
  const far = `${wait} to the first byte, ${speed === undefined ? 'any speed' : `${speed} a connection`}`;
  return `${FILES} files of ${FILE_BYTES / MIB} MiB, one after the other: READDIRPLUS, then of each in its order LOOKUP, ${reads}, every byte compared; the store ${far}`;
}

async function prepare(setup: Setup, distance: Distance): Promise<Prepared> {
  const count = Math.ceil(FILES * setup.size);
  const near = await Nginx.start();
  setup.defer(() => near.close());
  const directories = Array.from({ length: setup.rounds + 1 }, (_, round) => `medium-${round}`);
  const [first = '', ...others] = directories;
  for (let index = 0; index < count; index++) {
    const keys = others.map((directory) => `${directory}/f-${index}`);
    await near.put(`${first}/f-${index}`, index, FILE_BYTES, keys);
  }
  const store = await FarStore.start(near, distance);
  setup.defer(() => store.close());
  const { daemon, nfs, root } = await serve(setup, store);
  const all = Array.from({ length: count }, (_, index): PlannedRequest => {
    return { method: 'GET', target: Nginx.target(`${first}/f-${index}`), length: FILE_BYTES };
  });
  const plan = all.slice(0, FILES_OF_FLOOR);
  return {
    unit: 'GiB',
    floors: {
      one: {
        about: 'raw client in C, one GET of a whole file at a time',
        run: () =>
          rawSample(store, (plan.length * FILE_BYTES) / GIB, () =>
            httpLoad(store.url, plan, { connections: 1 }),
          ),
      },
      thirtyTwo: {
        about: `raw client in C, ${CONNECTIONS_MAX} connections, one GET of a whole file at a time each`,
        run: () =>
          rawSample(store, (count * FILE_BYTES) / GIB, () =>
            httpLoad(store.url, all, { connections: CONNECTIONS_MAX }),
          ),
      },
    },
    work: async (round) => {
      const { handle: directory } = await nfs.lookup(root, directories[round] ?? '');
      const files = { count, size: FILE_BYTES, transfer: READ_BYTES, depth: DEPTH };
      return daemonSample(
        daemon,
        store,
        (load) => load.bytes / GIB,
        () => nfsLoad(daemon.port, { mode: 'turns', directory, ...files }),
      );
    },
    ratios: {
      timeToOne: over('one', time),
      timesFasterThanOne: (round) => 1 / over('one', time)(round),
      timeToThirtyTwo: over('thirtyTwo', time),
      wastedShare: ({ work: { storeMiB = 0 } }) =>
        storeMiB === 0 ? 0 : 1 - (count * FILE_BYTES) / (storeMiB * MIB),
    },
  };
}

export const mediumFilesFar: Case = {
  name: 'medium-files-far',
  about: about(SHAPED),
  prepare: async (setup) => await prepare(setup, SHAPED),
};

export const mediumFilesFarUnshaped: Case = {
  name: 'medium-files-far-unshaped',
  about: about(UNSHAPED),
  prepare: async (setup) => await prepare(setup, UNSHAPED),
};
