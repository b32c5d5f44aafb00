/** What the daemon adds to the time that a store takes to its first byte: cold files, one READ each. */
import { httpLoad, type PlannedRequest } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import { added, daemonSample, rawSample, serve, type Case, type Prepared, type Setup } from '../measure.js';
import { KIB } from '../pattern.js';
import { Nginx } from '../stores/nginx.js';

const FILES = 2000;
const FILE_BYTES = 4 * KIB;
const STREAMS = 64;

async function prepare(setup: Setup, depth: number): Promise<Prepared> {
  const count = Math.ceil(FILES * setup.size);
  const store = await Nginx.start();
  setup.defer(() => store.close());
  const directories = Array.from({ length: setup.rounds + 1 }, (_, round) => `first-${round}`);
  const [first = '', ...others] = directories;
  for (let index = 0; index < count; index++) {
    const keys = others.map((directory) => `${directory}/f-${index}`);
    await store.put(`${first}/f-${index}`, index, FILE_BYTES, keys);
  }
  const { daemon, nfs, root } = await serve(setup, store);
  const plan = Array.from({ length: count }, (_, index): PlannedRequest => {
    return { method: 'GET', target: Nginx.target(`${first}/f-${index}`), length: FILE_BYTES };
  });
  return {
    unit: 'call',
    floors: {
      raw: {
        about: `raw client in C, ${depth} connections, the same GETs; to the first byte of the answer`,
        run: () => rawSample(store, count, () => httpLoad(store.url, plan, { connections: depth })),
      },
    },
    work: async (round) => {
      const { handle: directory } = await nfs.lookup(root, directories[round] ?? '');
      const files = { count, size: FILE_BYTES, depth };
      return daemonSample(
        daemon,
        store,
        () => count,
        () => nfsLoad(daemon.port, { mode: 'files', directory, ...files }),
      );
    },
    ratios: {
      addedMedianMs: added('raw', ({ medianMs }) => medianMs),
      addedP99Ms: added('raw', ({ p99Ms }) => p99Ms),
    },
  };
}

const ABOUT = `${FILES} cold files of ${FILE_BYTES / KIB} KiB: LOOKUP, then the time of one READ to its reply`;

export const firstByte: Case = {
  name: 'first-byte',
  about: `${ABOUT}; one at a time`,
  prepare: async (setup) => await prepare(setup, 1),
};

export const firstByteOfMany: Case = {
  name: 'first-byte-of-many',
  about: `${ABOUT}; ${STREAMS} at a time`,
  prepare: async (setup) => await prepare(setup, STREAMS),
};
