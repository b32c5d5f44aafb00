/** Many files read front to back at the same time, each by a client of its own: the floor is GETs of the same bytes by as many connections. */
import { httpLoad, rangedGets } from '../clients/http-load.js';
import { nfsLoad, type NfsLoad } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, rawSample, serve, time, totalCpu, type Case } from '../measure.js';
import { program } from '../native.js';
import { GIB, MIB } from '../pattern.js';
import { Nginx } from '../stores/nginx.js';

const STREAMS = 64;
const FILE_BYTES = 16 * MIB;
const PART_BYTES = 8 * MIB;
const TRANSFER_BYTES = MIB;
const DEPTH = 2;

export const streams: Case = {
  name: 'streams',
  about: `${STREAMS} files of ${FILE_BYTES / MIB} MiB at the same time, each over a connection of its own: READs of 1 MiB, ${DEPTH} in flight, every byte compared`,
  prepare: async (setup) => {
    const bytes = Math.ceil((FILE_BYTES * setup.size) / TRANSFER_BYTES) * TRANSFER_BYTES;
    const store = await Nginx.start();
    setup.defer(() => store.close());
    const names = Array.from({ length: setup.rounds + 1 }, (_, round) => `streams-${round}`);
    const [first = '', ...others] = names;
    for (let index = 0; index < STREAMS; index++) {
      const keys = others.map((name) => `${name}/f-${index}`);
      await store.put(`${first}/f-${index}`, index, bytes, keys);
    }
    // Made once, before 64 clients ask for it at the same time.
    await program('nfs-load');
    const { daemon, nfs, root } = await serve(setup, store);
    const plan = Array.from({ length: STREAMS }, (_, index) =>
      rangedGets(Nginx.target(`${first}/f-${index}`), bytes, Math.min(PART_BYTES, bytes)),
    ).flat();
    return {
      unit: 'GiB',
      floors: {
        raw: {
          about: `raw client in C, ${STREAMS} connections, GETs of the same bytes`,
          run: () =>
            rawSample(store, (STREAMS * bytes) / GIB, () =>
              httpLoad(store.url, plan, { connections: STREAMS }),
            ),
        },
      },
      work: async (round) => {
        const { handle: directory } = await nfs.lookup(root, names[round] ?? '');
        const handles: Buffer[] = [];
        for (let index = 0; index < STREAMS; index++)
          handles.push((await nfs.lookup(directory, `f-${index}`)).handle);
        const read = { size: bytes, transfer: TRANSFER_BYTES, depth: DEPTH };
        return daemonSample(
          daemon,
          store,
          (load) => load.bytes / GIB,
          async () =>
            together(
              await Promise.all(
                handles.map((handle, seed) => nfsLoad(daemon.port, { mode: 'read', handle, seed, ...read })),
              ),
            ),
        );
      },
      ratios: { totalCpu: over('raw', totalCpu), daemonCpu: over('raw', ownCpu), time: over('raw', time) },
    };
  },
};

/** Of clients that ran at the same time; the latencies are those of the slowest. */
function together(loads: readonly NfsLoad[]): NfsLoad {
  const sum = (of: (load: NfsLoad) => number): number => loads.reduce((all, load) => all + of(load), 0);
  const greatest = (of: (load: NfsLoad) => number): number => Math.max(...loads.map(of));
  return {
    calls: sum(({ calls }) => calls),
    bytes: sum(({ bytes }) => bytes),
    entries: sum(({ entries }) => entries),
    jukebox: sum(({ jukebox }) => jukebox),
    seconds: greatest(({ seconds }) => seconds),
    cpuSeconds: sum(({ cpuSeconds }) => cpuSeconds),
    checkSeconds: sum(({ checkSeconds }) => checkSeconds),
    readMedianMs: greatest(({ readMedianMs }) => readMedianMs),
    readP99Ms: greatest(({ readP99Ms }) => readP99Ms),
  };
}
