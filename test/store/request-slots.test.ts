/** Slots for requests: no more than there are, in the order of coming. */
import t from 'tap';
import { RequestSlots } from '../../src/store/s3/request-slots.js';

await t.test('a slot that is left goes to the next in line that still wants it', async (t) => {
  const slots = new RequestSlots(2);
  const begun: string[] = [];
  const leaves = new Map<string, () => void>();
  const enter = (name: string, wants = true): void =>
    slots.enter((leave) => {
      begun.push(name);
      leaves.set(name, leave);
      return wants;
    });
  for (const name of ['a', 'b']) enter(name);
  enter('given up', false);
  for (const name of ['c', 'd']) enter(name);
  t.same(begun, ['a', 'b']);
  leaves.get('b')?.();
  t.same(begun, ['a', 'b', 'given up', 'c']);
  leaves.get('a')?.();
  leaves.get('c')?.();
  leaves.get('d')?.();
  enter('nobody', false);
  for (const name of ['e', 'f', 'g']) enter(name);
  t.same(begun.slice(4), ['d', 'nobody', 'e', 'f']);
});

await t.test(
  'thousands that have given up go in one turn, whether one begins within another or not',
  async (t) => {
    const slots = new RequestSlots(1);
    const begun: number[] = [];
    let leave: (() => void) | undefined;
    slots.enter((first) => {
      leave = first;
      for (let at = 0; at < 100_000; at++) slots.enter(() => false);
      slots.enter(() => begun.push(1) > 0);
      slots.enter(() => begun.push(2) > 0);
      return true;
    });
    leave?.();
    t.same(begun, [1]);
  },
);
