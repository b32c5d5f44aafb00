import t from 'tap';
import { GetSlots } from '../../src/read/get-slots.js';
import { settle } from './read-rig.js';

const never = new AbortController().signal;

await t.test('readahead leaves a quarter of the slots, and never passes those in line', async (t) => {
  const slots = new GetSlots(4);
  t.same(
    [1, 2, 3, 4].map(() => slots.tryTakeAhead()),
    [true, true, true, false],
  );
  await slots.take(never);
  t.equal(slots.busy, 4);
  let entered = false;
  const waiting = slots.take(never).then(() => (entered = true));
  await settle();
  t.notOk(entered);
  t.notOk(slots.tryTakeAhead());
  slots.giveBack();
  await waiting;
  t.equal(slots.busy, 4, 'the slot went to the one in line');
  for (let at = 0; at < 4; at += 1) slots.giveBack();
  t.equal(slots.busy, 0);
});

await t.test('an abort leaves the line', async (t) => {
  const slots = new GetSlots(1);
  await slots.take(never);
  const abort = new AbortController();
  const gone = slots.take(abort.signal);
  const next = slots.take(never);
  const reason = new Error('gone');
  abort.abort(reason);
  await t.rejects(gone, reason);
  await t.rejects(slots.take(abort.signal), reason);
  slots.giveBack();
  await next;
  t.equal(slots.busy, 1);
});
