import t from 'tap';
import { Gate } from '../../src/write/gate.js';

/** Work that ends when told to. */
function held(log: string[], name: string): { work: () => Promise<void>; end: () => void } {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  return {
    work: async () => {
      log.push(`${name} in`);
      await ended;
      log.push(`${name} out`);
    },
    end: () => end(),
  };
}

await t.test('sharers pass together, one alone waits for them, and nobody overtakes', async (t) => {
  const gate = new Gate();
  const log: string[] = [];
  const [a, b, alone, late] = ['a', 'b', 'alone', 'late'].map((name) => held(log, name));
  if (a === undefined || b === undefined || alone === undefined || late === undefined)
    throw new Error('four');
  const all = [gate.shared(a.work), gate.shared(b.work), gate.exclusive(alone.work), gate.shared(late.work)];
  t.same(log, ['a in', 'b in']);
  a.end();
  await all[0];
  t.same(log.slice(2), ['a out'], 'one sharer is inside still');
  b.end();
  await all[1];
  alone.end();
  late.end();
  await Promise.all(all);
  t.same(log.slice(3), ['b out', 'alone in', 'alone out', 'late in', 'late out']);
});

await t.test('work that fails leaves the gate open', async (t) => {
  const gate = new Gate();
  await t.rejects(
    gate.exclusive(() => Promise.reject(new Error('no'))),
    { message: 'no' },
  );
  t.equal(await gate.exclusive(() => Promise.resolve(1)), 1);
  t.equal(await gate.shared(() => Promise.resolve(2)), 2);
});
