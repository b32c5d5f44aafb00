/**
 * The calls of `ls -l` and `find`, over directories that another S3 client filled. With `--metadata none` the daemon tells what a listing tells, as
 * rclone does; otherwise it looks for modes, owners and times on the objects, which takes a HEAD a file.
 */
import { treeLoad } from '../clients/tree-load.js';
import { daemonSample, serve, type Case } from '../measure.js';
import { WideStore } from '../stores/wide-store.js';

interface Tree {
  readonly name: string;
  readonly about: string;
  /** Directories below the listed one; 0: it has the files itself (stores/wide-names.ts). */
  readonly directories: number;
  /** Files of each directory. */
  readonly files: number;
  readonly reach: 'in it' | 'below';
  readonly serveArguments: readonly string[];
}

function tree({ name, about, directories, files, reach, serveArguments }: Tree): Case {
  return {
    name,
    about,
    prepare: async (setup) => {
      const count = Math.ceil((directories === 0 ? files : directories) * setup.size);
      const shape = directories === 0 ? `numbers-${count}` : `tree-${count}-${files}`;
      const entries = directories === 0 ? count : count * (1 + files);
      // One directory a round: none has been listed before.
      const names = Array.from({ length: setup.rounds + 1 }, (_, round) => `${shape}-r${round}`);
      const store = await WideStore.start(names);
      setup.defer(() => store.close());
      const { daemon, nfs, root } = await serve(setup, store, serveArguments);
      return {
        unit: 'call',
        floors: {},
        work: (round) =>
          daemonSample(
            daemon,
            store,
            (load) => load.entries,
            async () => {
              const { handle } = await nfs.lookup(root, names[round] ?? '');
              const load = await treeLoad(nfs, handle, reach);
              if (load.entries !== entries)
                throw new Error(`expected ${entries} entries, got ${load.entries}`);
              return load;
            },
          ),
        ratios: {},
      };
    },
  };
}

const LONG = { directories: 0, files: 10_000, reach: 'in it' } as const;
const NESTED = { directories: 100, files: 1000, reach: 'below' } as const;

export const TREE_CASES: readonly Case[] = [
  tree({
    name: 'ls-long',
    about: '`ls -l` of 10,000 files: READDIRPLUS, GETATTR of what it didn’t tell, 8 at a time',
    ...LONG,
    serveArguments: [],
  }),
  tree({
    name: 'ls-long-plain',
    about: 'the same with --metadata none',
    ...LONG,
    serveArguments: ['--metadata=none'],
  }),
  tree({
    name: 'find-nested',
    about: '`find` of 100,000 files in 100 directories, likewise',
    ...NESTED,
    serveArguments: [],
  }),
  tree({
    name: 'find-nested-plain',
    about: 'the same with --metadata none',
    ...NESTED,
    serveArguments: ['--metadata=none'],
  }),
];
