/** Small files, made, removed and read: the floors are PUTs and GETs of the same bytes, by the raw client and by the SDK. */
import { httpLoad, type PlannedRequest } from '../clients/http-load.js';
import { nfsLoad } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, rawSample, serve, time, totalCpu, type Case } from '../measure.js';
import { KIB } from '../pattern.js';
import { SdkClient, sdkFloor } from '../sdk-client-process.js';
import { Nginx } from '../stores/nginx.js';
import { Sink } from '../stores/sink.js';

const FILES = 1000;
const FILE_BYTES = 16 * KIB;
/** Files at a time. */
const DEPTH = 8;
const FLOOR_REPEAT = 20;

export const smallCreate: Case = {
  name: 'small-create',
  about: `${FILES} files of ${FILE_BYTES / KIB} KiB: CREATE, one WRITE, COMMIT; ${DEPTH} at a time; a first round is compared in the store`,
  prepare: async (setup) => {
    const count = Math.ceil(FILES * setup.size);
    const store = await Sink.start();
    setup.defer(() => store.close());
    const { daemon, nfs, root } = await serve(setup, store);
    const sdk = await SdkClient.start(store.url);
    setup.defer(() => sdk.close());
    const plan = Array.from({ length: count }, (_, index): PlannedRequest => {
      return { method: 'PUT', target: `/bench/raw/f-${index}`, length: FILE_BYTES };
    });
    return {
      unit: 'call',
      floors: {
        raw: {
          about: `raw client in C, ${DEPTH} connections, PUTs of ${FILE_BYTES / KIB} KiB to the same sink`,
          run: () =>
            rawSample(store, count * FLOOR_REPEAT, () =>
              httpLoad(store.url, plan, { connections: DEPTH, repeat: FLOOR_REPEAT }),
            ),
        },
        sdk: sdkFloor(sdk, store, `${DEPTH} PUTs of ${FILE_BYTES / KIB} KiB at a time`, () => ({
          units: count,
          concurrency: DEPTH,
          requests: Array.from({ length: count }, (_, index) => {
            return { method: 'PUT', key: `sdk/f-${index}`, length: FILE_BYTES };
          }),
        })),
      },
      work: async (round) => {
        const { handle: directory } = await nfs.mkdir(root, `create-${round}`);
        const create = { count, size: FILE_BYTES, depth: DEPTH };
        const run = () =>
          daemonSample(
            daemon,
            store,
            () => count,
            () => nfsLoad(daemon.port, { mode: 'create', directory, ...create }),
          );
        return round === 0 ? await store.checked(count * FILE_BYTES, run) : await run();
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

export const smallRemove: Case = {
  name: 'small-remove',
  about: `REMOVE of ${FILES} files of ${FILE_BYTES / KIB} KiB that were made before and are in the store; ${DEPTH} at a time`,
  prepare: async (setup) => {
    const count = Math.ceil(FILES * setup.size);
    const store = await Sink.start();
    setup.defer(() => store.close());
    const { daemon, nfs, root } = await serve(setup, store);
    return {
      unit: 'call',
      floors: {},
      work: async (round) => {
        const { handle: directory } = await nfs.mkdir(root, `remove-${round}`);
        await nfsLoad(daemon.port, { mode: 'create', directory, count, size: FILE_BYTES, depth: DEPTH });
        // A peer that answers before it has stored would have nothing to remove.
        await daemon.stored?.();
        return daemonSample(
          daemon,
          store,
          () => count,
          () => nfsLoad(daemon.port, { mode: 'remove', directory, count, depth: DEPTH }),
        );
      },
      ratios: {},
    };
  },
};

export const smallRead: Case = {
  name: 'small-read',
  about: `${FILES} files of ${FILE_BYTES / KIB} KiB never read before: LOOKUP, READ; ${DEPTH} at a time, every byte compared`,
  prepare: async (setup) => {
    const count = Math.ceil(FILES * setup.size);
    const store = await Nginx.start();
    setup.defer(() => store.close());
    const directories = Array.from({ length: setup.rounds + 1 }, (_, round) => `files-${round}`);
    const [first = '', ...others] = directories;
    for (let index = 0; index < count; index++) {
      const keys = others.map((directory) => `${directory}/f-${index}`);
      await store.put(`${first}/f-${index}`, index, FILE_BYTES, keys);
    }
    const { daemon, nfs, root } = await serve(setup, store);
    const sdk = await SdkClient.start(store.url);
    setup.defer(() => sdk.close());
    const plan = Array.from({ length: count }, (_, index): PlannedRequest => {
      return { method: 'GET', target: Nginx.target(`${first}/f-${index}`), length: FILE_BYTES };
    });
    return {
      unit: 'call',
      floors: {
        raw: {
          about: `raw client in C, ${DEPTH} connections, GETs of ${FILE_BYTES / KIB} KiB from the same nginx`,
          run: () =>
            rawSample(store, count * FLOOR_REPEAT, () =>
              httpLoad(store.url, plan, { connections: DEPTH, repeat: FLOOR_REPEAT }),
            ),
        },
        sdk: sdkFloor(sdk, store, `HEAD and GET of ${FILE_BYTES / KIB} KiB, ${DEPTH} at a time`, () => ({
          units: count,
          concurrency: DEPTH,
          requests: Array.from({ length: count }, (_, index) => `${first}/f-${index}`).flatMap((key) => [
            { method: 'HEAD', key },
            { method: 'GET', key, offset: 0, length: FILE_BYTES },
          ]),
        })),
      },
      work: async (round) => {
        const { handle: directory } = await nfs.lookup(root, directories[round] ?? '');
        const files = { count, size: FILE_BYTES, depth: DEPTH };
        return daemonSample(
          daemon,
          store,
          () => count,
          () => nfsLoad(daemon.port, { mode: 'files', directory, ...files }),
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
