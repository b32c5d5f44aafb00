/** Loads of many files (stores/wide-store.ts): handles stay good over a restart, and attributes that are known aren't asked for again. */
import { setTimeout as delay } from 'node:timers/promises';
import type { NfsClient } from '../test/support/nfs-client.js';
import type { Load } from './loads.js';
import { Rig, type RigOptions } from './rig.js';
import { requestsBetween } from './stores/store.js';
import { WideStore } from './stores/wide-store.js';
import { inFlight } from './transfers.js';

const HANDLE_BYTES = 36;
const DEPTH = 32;
/** How LeanClient's errors end for NFS3ERR_STALE. */
const STALE = /status 70$/;
/** Longer than --metadata-ttl, so that attributes have to be confirmed again. */
const REST_MS = 4000;

/** What `find` found. */
interface Found {
  /** All handles in one buffer, since there are hundreds of thousands. */
  readonly handles: Buffer;
  readonly files: number;
  /** Numbers of the files that came without attributes. */
  readonly bare: readonly number[];
}

/** Finds everything below a directory. Directories are known by their names (stores/wide-names.ts). */
async function find(nfs: NfsClient, directory: Buffer): Promise<Found> {
  const handles: Buffer[] = [];
  const bare: number[] = [];
  const walk = async (at: Buffer): Promise<void> => {
    for (const { name, name_handle: handle, name_attributes: attributes } of await nfs.readdirplus(at)) {
      const text = name.toString();
      if (text === '.' || text === '..') continue;
      if (handle?.length !== HANDLE_BYTES) throw new Error(`no handle of ${text}`);
      if (text.startsWith('numbers-') || text.startsWith('tree-')) await walk(handle);
      else {
        if (attributes === undefined) bare.push(handles.length);
        handles.push(Buffer.from(handle));
      }
    }
  };
  await walk(directory);
  return { handles: Buffer.concat(handles), files: handles.length, bare };
}

/** Makes a GETATTR by each handle, as an open begins with one; returns how many were stale. */
async function open(rig: Rig, { handles }: Found, which: readonly number[]): Promise<number> {
  const client = await rig.client();
  let stale = 0;
  await inFlight(which.length, DEPTH, async (index) => {
    const from = (which[index] ?? 0) * HANDLE_BYTES;
    try {
      await client.getattr(handles.subarray(from, from + HANDLE_BYTES));
    } catch (error) {
      if (!(error instanceof Error && STALE.test(error.message))) throw error;
      stale++;
    }
  });
  return stale;
}

async function withStore(
  options: RigOptions,
  directories: readonly string[],
  work: (rig: Rig, told: <T>(step: () => Promise<T>) => Promise<Step<T>>) => Promise<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const store = await WideStore.start(directories);
  try {
    const rig = await Rig.start({
      ...options,
      endpoint: { url: store.url, bucket: 'bench', takesAnyKeys: true },
    });
    try {
      return await work(rig, async (step) => {
        const before = await store.use();
        const beganMs = performance.now();
        const result = await step();
        const seconds = Number(((performance.now() - beganMs) / 1000).toPrecision(4));
        return { result, seconds, requests: requestsBetween(before, await store.use()) };
      });
    } finally {
      await rig.close();
    }
  } finally {
    await store.close();
  }
}

interface Step<T> {
  readonly result: T;
  readonly seconds: number;
  /** By S3 operation. */
  readonly requests: Readonly<Record<string, number>>;
}

const all = ({ files }: Found): number[] => Array.from({ length: files }, (_, at) => at);

const findRestart: Load = {
  name: 'load-find-restart',
  about:
    'find over 200,000 files, kill -9, then each is opened by the handle that it was given; fails on a STALE',
  run: (options) =>
    withStore(options, ['numbers-100000', 'tree-100-1000'], async (rig, told) => {
      const { nfs, root } = await rig.mount();
      const found = await told(() => find(nfs, root));
      await rig.restartDaemon('SIGKILL');
      const opened = await told(() => open(rig, found.result, all(found.result)));
      if (opened.result > 0) throw new Error(`${opened.result} handles of ${found.result.files} are stale`);
      return {
        files: found.result.files,
        stale: opened.result,
        find: { seconds: found.seconds, requests: found.requests },
        open: { seconds: opened.seconds, requests: opened.requests },
      };
    }),
};

const listLong: Load = {
  name: 'load-ls-l',
  about:
    'ls -l of 100,000 files: what it costs anew, again, and after a restart; fails on a HEAD for proven attributes',
  run: (options) =>
    withStore(options, ['numbers-100000'], async (rig, told) => {
      /** READDIRPLUS, and GETATTR where it gave no attributes. */
      const longList = async (): Promise<number> => {
        const { nfs, root } = await rig.mount();
        const found = await find(nfs, root);
        if ((await open(rig, found, found.bare)) > 0) throw new Error('stale handles');
        return found.files;
      };
      const anew = await told(longList);
      await delay(REST_MS);
      const again = await told(longList);
      await rig.restartDaemon();
      const afterRestart = await told(longList);
      for (const { requests } of [again, afterRestart])
        if ((requests['HeadObject'] ?? 0) > 0)
          throw new Error(`${requests['HeadObject'] ?? 0} HEADs for attributes that were proven`);
      const shown = ({ seconds, requests }: Step<number>): unknown => ({ seconds, requests });
      return {
        files: anew.result,
        anew: shown(anew),
        again: shown(again),
        afterRestart: shown(afterRestart),
      };
    }),
};

export const WIDE_LOADS: readonly Load[] = [findRestart, listLong];
