/**
 * Listings of large directories, over a store that has its answers ready (stores/wide-store.ts), near and 30 ms away. Each round has a daemon of its own,
 * which knows none of the names. The floors are the LISTs alone (lister.ts): the same pages of the same store, each asked for once the one before has been
 * read to objects, by a warm process that does nothing with them. One asks by the daemon's own transport and its reading of the answers, so that what
 * makes these faster makes that floor faster too; the other by the SDK with its defaults.
 */
import { nfsLoad } from '../clients/nfs-load.js';
import { Lister, listerFloor } from '../lister-process.js';
import { daemonSample, over, ownCpu, serve, time, type Case, type Round, type Setup } from '../measure.js';
import { WideStore } from '../stores/wide-store.js';
import { residentMiB } from '../usage.js';

const FAR_LIST_MS = 30;
/** S3's pages. */
const PAGE_ENTRIES = 1000;

interface Wide {
  readonly name: string;
  readonly about: string;
  readonly entries: number;
  /** What the files are named by (stores/wide-names.ts). */
  readonly names: 'numbers' | 'hashes';
  /** READDIRPLUS, or READDIR. */
  readonly mode: 'list' | 'names';
  /** Time that each LIST waits in the store. */
  readonly listMs: number;
}

function wide({ name, about, entries, names, mode, listMs }: Wide): Case {
  const prepare = async (setup: Setup) => {
    // Whole pages: a last page of few entries would count as a request beyond the least.
    const count = Math.ceil((entries * setup.size) / PAGE_ENTRIES) * PAGE_ENTRIES;
    // The first round, which isn't counted, warms up the floors' programs; a small directory is enough. Each round has a new daemon.
    const directoryOf = (round: number): string => (round === 0 ? `${names}-10000` : `${names}-${count}`);
    const store = await WideStore.start([directoryOf(0), directoryOf(1)], listMs);
    setup.defer(() => store.close());
    const direct = await Lister.start(store.url, 'direct');
    setup.defer(() => direct.close());
    // Far away both floors spend their time waiting: one is enough.
    const sdk = listMs > 0 ? undefined : await Lister.start(store.url, 'sdk');
    if (sdk !== undefined) setup.defer(() => sdk.close());
    const work = async (round: number) => {
      const ends: (() => Promise<void>)[] = [];
      try {
        const { daemon, nfs, root } = await serve({ ...setup, defer: (end) => void ends.push(end) }, store);
        const { handle } = await nfs.lookup(root, directoryOf(round));
        const beforeMiB = residentMiB(daemon.pid);
        const sample = await daemonSample(
          daemon,
          store,
          (load) => load.entries,
          async () => {
            const load = await nfsLoad(daemon.port, { mode, directory: handle });
            if (round > 0 && load.entries !== count)
              throw new Error(`expected ${count} entries, got ${load.entries}`);
            return load;
          },
        );
        return { ...sample, grownMiB: (sample.peakMiB ?? NaN) - beforeMiB };
      } finally {
        for (const end of ends.reverse()) await end();
      }
    };
    const requestsToPages = ({ work: { requests = {} } }: Round): number =>
      Object.values(requests).reduce((sum, each) => sum + each, 0) / (count / PAGE_ENTRIES);
    const prefixOf = (round: number): string => `${directoryOf(round)}/`;
    return {
      unit: 'call' as const,
      floors: {
        direct: listerFloor(direct, store, "the daemon's own transport", prefixOf),
        ...(sdk !== undefined && { sdk: listerFloor(sdk, store, 'the SDK with its defaults', prefixOf) }),
      },
      work,
      ratios: {
        timeToDirect: over('direct', time),
        ...(sdk !== undefined && { timeToSdk: over('sdk', time), daemonCpuToSdk: over('sdk', ownCpu) }),
        requestsToPages,
      },
    };
  };
  return { name, about, prepare };
}

export const WIDE_LISTINGS: readonly Case[] = [
  wide({
    name: 'listing-million',
    about: 'READDIRPLUS of a directory of 1,000,000 files; no wait in the store',
    ...{ entries: 1_000_000, names: 'numbers', mode: 'list', listMs: 0 },
  }),
  wide({
    name: 'listing-million-names',
    about: 'READDIR of a directory of 1,000,000 files; no wait in the store',
    ...{ entries: 1_000_000, names: 'numbers', mode: 'names', listMs: 0 },
  }),
  wide({
    name: 'listing-far',
    about: 'READDIRPLUS of a directory of 1,000,000 files, named by number; 30 ms a LIST',
    ...{ entries: 1_000_000, names: 'numbers', mode: 'list', listMs: FAR_LIST_MS },
  }),
  wide({
    name: 'listing-far-hashes',
    about: 'READDIRPLUS of a directory of 200,000 files, named by hash; 30 ms a LIST',
    ...{ entries: 200_000, names: 'hashes', mode: 'list', listMs: FAR_LIST_MS },
  }),
];
