/** GETATTR: the floor is the NULL procedure of the same daemon, a call that asks nothing of it but to answer. */
import { nfsLoad, type NfsWork } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, serve, time, totalCpu, type Case } from '../measure.js';
import { Sink } from '../stores/sink.js';

const CALLS = 50_000;
const DEPTH = 32;

export const getattr: Case = {
  name: 'getattr',
  about: `${CALLS} GETATTRs of one file, ${DEPTH} in flight`,
  prepare: async (setup) => {
    const count = Math.ceil(CALLS * setup.size);
    const store = await Sink.start();
    setup.defer(() => store.close());
    const { daemon, nfs, root } = await serve(setup, store);
    const { handle } = await nfs.create(root, 'getattr', { mode: 0o644 });
    await nfs.commit(handle);
    const calls = (work: NfsWork) =>
      daemonSample(
        daemon,
        store,
        () => count,
        () => nfsLoad(daemon.port, work),
      );
    return {
      unit: 'call',
      floors: {
        null: {
          about: `as many calls of the NULL procedure of the same daemon, ${DEPTH} in flight`,
          run: () => calls({ mode: 'null', count, depth: DEPTH }),
        },
      },
      work: () => calls({ mode: 'getattr', handle, count, depth: DEPTH }),
      ratios: { totalCpu: over('null', totalCpu), daemonCpu: over('null', ownCpu), time: over('null', time) },
    };
  },
};
