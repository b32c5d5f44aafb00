/** A directory listing: the floors are the same LISTs, asked by the raw client and by the SDK. */
import { httpLoad, type PlannedRequest } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, rawSample, serve, time, totalCpu, type Case } from '../measure.js';
import { SdkClient, sdkFloor } from '../sdk-client-process.js';
import { Nginx } from '../stores/nginx.js';

const FILES = 10_000;
const FILE_BYTES = 4096;
/** LISTs follow one another. */
const FLOOR_CONNECTIONS = 1;
const FLOOR_REPEAT = 20;

export const listing: Case = {
  name: 'listing',
  about: `READDIRPLUS of a directory of ${FILES} files, put there by another S3 client`,
  prepare: async (setup) => {
    const count = Math.ceil(FILES * setup.size);
    const store = await Nginx.start();
    setup.defer(() => store.close());
    // One directory a round: none has been listed before.
    const directories = Array.from({ length: setup.rounds + 1 }, (_, round) => `list-${round}`);
    const pattern = 'list-pattern';
    for (const directory of [pattern, ...directories]) {
      for (let index = 0; index < count; index++)
        store.list(`${directory}/file-${String(index).padStart(6, '0')}`, FILE_BYTES);
    }
    const { daemon, nfs, root } = await serve(setup, store);
    const list = async (name: string) => {
      const { handle: directory } = await nfs.lookup(root, name);
      return daemonSample(
        daemon,
        store,
        (load) => load.entries,
        async () => {
          const load = await nfsLoad(daemon.port, { mode: 'list', directory });
          if (load.entries !== count) throw new Error(`expected ${count} entries, got ${load.entries}`);
          return load;
        },
      );
    };
    const sdk = await SdkClient.start(store.url);
    setup.defer(() => sdk.close());
    const before = store.listQueries().length;
    await list(pattern);
    const queries = store.listQueries().slice(before);
    const queriesOf = (round: number): string[] =>
      queries.map((query) => query.replaceAll(pattern, directories[round] ?? ''));
    const planOf = (round: number): PlannedRequest[] =>
      queriesOf(round).map((query) => ({ method: 'GET', target: `${Nginx.target('')}?${query}` }));
    // Answers are files from their second time on.
    for (const round of directories.keys())
      await httpLoad(store.url, planOf(round), { connections: FLOOR_CONNECTIONS });
    return {
      unit: 'call',
      floors: {
        raw: {
          about: `raw client in C, ${FLOOR_CONNECTIONS} connection, the ${queries.length} LISTs that the daemon asks`,
          run: (round) =>
            rawSample(store, count * FLOOR_REPEAT, () =>
              httpLoad(store.url, planOf(round), {
                connections: FLOOR_CONNECTIONS,
                repeat: FLOOR_REPEAT,
              }),
            ),
        },
        sdk: sdkFloor(sdk, store, 'the same LISTs, one after the other', (round) => ({
          units: count,
          concurrency: 1,
          requests: queriesOf(round).map((query) => ({ method: 'LIST', query })),
        })),
      },
      work: (round) => list(directories[round] ?? ''),
      ratios: {
        totalCpu: over('raw', totalCpu),
        daemonCpu: over('raw', ownCpu),
        daemonCpuToSdk: over('sdk', ownCpu),
        time: over('raw', time),
      },
    };
  },
};
