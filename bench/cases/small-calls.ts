/**
 * Small calls that are answered from memory: the floor is the NULL procedure of the same daemon, a call that asks nothing of it but
 * to answer.
 */
import { nfsLoad, type NfsWork } from '../clients/nfs-load.js';
import { daemonSample, over, ownCpu, serve, time, totalCpu, type Case } from '../measure.js';
import { Sink } from '../stores/sink.js';

const CALLS = 50_000;
const DEPTH = 32;

function smallCalls(mode: 'getattr' | 'access' | 'lookup', about: string): Case {
  return {
    name: mode,
    about: `${CALLS} ${about}, ${DEPTH} in flight`,
    prepare: async (setup) => {
      const count = Math.ceil(CALLS * setup.size);
      const store = await Sink.start();
      setup.defer(() => store.close());
      const { daemon, nfs, root } = await serve(setup, store);
      const file = await nfs.create(root, 'f-0', { mode: 0o644 });
      await nfs.commit(file.handle);
      const handle = mode === 'lookup' ? root : file.handle;
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
        work: () => calls({ mode, handle, count, depth: DEPTH }),
        ratios: {
          totalCpu: over('null', totalCpu),
          daemonCpu: over('null', ownCpu),
          time: over('null', time),
        },
      };
    },
  };
}

export const getattr = smallCalls('getattr', 'GETATTRs of one file');
export const access = smallCalls('access', 'ACCESSes of one file');
export const lookup = smallCalls('lookup', 'LOOKUPs of one name');
