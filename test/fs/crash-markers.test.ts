/** A directory without a marker, and a crash at any request of the removal of what kept it. */
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { Mounted } from './mounted.js';

const REQUESTS_MAX = 12;

await t.test(
  'a directory without a marker stays when a crash comes with the removal of its last file',
  async (t) => {
    for (const isListed of [false, true]) {
      let isOver = false;
      for (const when of ['before', 'after'] as const) {
        isOver = false;
        for (let request = 1; request <= REQUESTS_MAX && !isOver; request++) {
          const m = await Mounted.start();
          await m.store.put('d/f', [Buffer.from('bytes')], { metadata: {} });
          if (isListed) await m.list('d');
          await m.at('d/f');
          let requests = 0;
          const hung = new Promise<false>((resolve) => {
            m.store[when] = () => {
              if (++requests < request) return;
              resolve(false);
              return new Promise<void>(() => undefined);
            };
          });
          isOver = await Promise.race([m.remove('d/f').then(() => true), hung]);
          await setImmediate();
          await m.crash();
          m.store[when] = undefined;
          await m.open();
          t.same(await m.list(''), ['d'], `${when} request ${request}`);
          await m.end();
        }
        t.ok(isOver, 'every request was tried');
      }
    }
  },
);

await t.test(
  'files of a directory without a marker that are removed at the same time leave it there',
  async (t) => {
    const m = await Mounted.start();
    t.teardown(() => m.end());
    const names = ['a', 'b', 'c', 'e'];
    for (const name of names) await m.store.put(`d/${name}`, [], { metadata: {} });
    for (const name of names) await m.at(`d/${name}`);
    await Promise.all(names.map((name) => m.remove(`d/${name}`)));
    t.same(Object.keys(m.bucket()), ['d/']);
  },
);
