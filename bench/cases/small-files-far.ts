/**
 * A directory of small files in a store that is far away, read by one client file after file: in the order of its listing, where fetching the
 * next ones ahead pays, and in random order, where what was fetched ahead would be fetched in vain. The floor is the raw client with one
 * connection on the directory's beginning.
 */
import { httpLoad, type PlannedRequest } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import { daemonSample, over, rawSample, serve, time, type Case, type Round } from '../measure.js';
import { KIB, MIB } from '../pattern.js';
import { FarStore, type Distance } from '../stores/far.js';
import { Nginx } from '../stores/nginx.js';

const DISTANCE: Distance = { wait: '15ms', speed: '8MB/s' };
const FILES = 10_000;
const FILE_BYTES = 64 * KIB;
/** One after the other, all would take minutes. */
const FLOOR_FILES = 100;
/** Random order takes as long as the floor does by file. */
const RANDOM_SHARE = 1 / 5;

function smallFiles(name: string, files: number, order: number, inWords: string): Case {
  return {
    name,
    about: `a directory of ${files} files of ${FILE_BYTES / KIB} KiB never read before: READDIRPLUS, then LOOKUP and READ of one file after the other ${inWords}, every byte compared; the store ${DISTANCE.wait} to the first byte, ${DISTANCE.speed} a connection`,
    prepare: async (setup) => {
      const count = Math.ceil(files * setup.size);
      const near = await Nginx.start();
      setup.defer(() => near.close());
      const directories = Array.from({ length: setup.rounds + 1 }, (_, round) => `walk-${round}`);
      const [first = '', ...others] = directories;
      for (let index = 0; index < count; index++) {
        const keys = others.map((directory) => `${directory}/f-${index}`);
        await near.put(`${first}/f-${index}`, index, FILE_BYTES, keys);
      }
      const store = await FarStore.start(near, DISTANCE);
      setup.defer(() => store.close());
      const { daemon, nfs, root } = await serve(setup, store);
      const plan = Array.from({ length: Math.min(count, FLOOR_FILES) }, (_, index): PlannedRequest => {
        return { method: 'GET', target: Nginx.target(`${first}/f-${index}`), length: FILE_BYTES };
      });
      return {
        unit: 'call',
        floors: {
          one: {
            about: `raw client in C, one GET at a time`,
            run: () => rawSample(store, plan.length, () => httpLoad(store.url, plan, { connections: 1 })),
          },
        },
        work: async (round) => {
          const { handle: directory } = await nfs.lookup(root, directories[round] ?? '');
          const walk = { count, size: FILE_BYTES, depth: 1, order };
          return daemonSample(
            daemon,
            store,
            () => count,
            () => nfsLoad(daemon.port, { mode: 'walk', directory, ...walk }),
          );
        },
        ratios: {
          timeToOne: over('one', time),
          requestsPerFile: ({ work }: Round) => sum(work.requests) / count,
          wastedShare: ({ work: { storeMiB = 0 } }: Round) =>
            storeMiB === 0 ? 0 : 1 - (count * FILE_BYTES) / (storeMiB * MIB),
        },
      };
    },
  };
}

const sum = (requests: Readonly<Record<string, number>> = {}): number =>
  Object.values(requests).reduce((all, each) => all + each, 0);

export const smallFilesFar = smallFiles('small-files-far', FILES, 0, 'in the order of the listing');
export const smallFilesFarRandom = smallFiles(
  'small-files-far-random',
  FILES * RANDOM_SHARE,
  7,
  'in random order',
);
