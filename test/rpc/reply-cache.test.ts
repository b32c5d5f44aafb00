import t from 'tap';
import fc from '../support/fast-check.js';
import { ReplyEncoder, type Reply } from '../../src/rpc/reply.js';
import { duplicateKey, ReplyCache, type CacheableCall, type Executed } from '../../src/rpc/reply-cache.js';
import type { XdrWriter } from '../../protocol/xdr-cursors.js';

const target = { prog: 1, vers: 2, proc: 3 };

function reply(value: number, settle?: () => void): Reply {
  return new ReplyEncoder().encode((writer: XdrWriter) => writer.u32(value), settle);
}

/** The value that `reply` encoded. */
const valueOf = (given: Reply): number => Buffer.concat([...given.chunks]).readUInt32BE(4);

function counter(keep = true): { execute: () => Promise<Executed>; executions: () => number } {
  let executions = 0;
  return {
    execute: async () => ({ reply: reply(++executions), keep }),
    executions: () => executions,
  };
}

interface Bounds {
  readonly bytesMax: number;
  readonly entriesMax: number;
  readonly ageMs: number;
  readonly now?: () => number;
}

/** With the same bounds for all calls. */
function cacheOf(bounds: Bounds): ReplyCache {
  return new ReplyCache({ replies: bounds, bulkReplies: bounds });
}

function call(key: string, { client = 'c', isBulk = false } = {}): CacheableCall {
  return { client, key, isBulk };
}

await t.test('a call is known by address, xid, program, version, procedure and arguments', async (t) => {
  const args = Buffer.alloc(1000, 1);
  const changed = Buffer.from(args);
  changed[100] = 2;
  const base = duplicateKey('10.0.0.1', 7, target, args);
  t.equal(duplicateKey('10.0.0.1', 7, target, Buffer.from(args)), base);
  const others = [
    duplicateKey('10.0.0.2', 7, target, args),
    duplicateKey('10.0.0.1', 8, target, args),
    duplicateKey('10.0.0.1', 7, { ...target, prog: 9 }, args),
    duplicateKey('10.0.0.1', 7, { ...target, vers: 9 }, args),
    duplicateKey('10.0.0.1', 7, { ...target, proc: 9 }, args),
    duplicateKey('10.0.0.1', 7, target, args.subarray(1)),
    duplicateKey('10.0.0.1', 7, target, changed),
  ];
  t.equal(new Set([base, ...others]).size, 1 + others.length);
});

await t.test('a kept reply is given again; one not to be kept is executed anew', async (t) => {
  const cache = cacheOf({ bytesMax: 10_000, entriesMax: 10, ageMs: 1000 });
  const kept = counter();
  t.equal(valueOf(await cache.answer(call('a'), kept.execute)), 1);
  t.equal(valueOf(await cache.answer(call('a'), kept.execute)), 1);
  t.equal(kept.executions(), 1);
  const later = counter(false);
  t.equal(valueOf(await cache.answer(call('b'), later.execute)), 1);
  t.equal(valueOf(await cache.answer(call('b'), later.execute)), 2);
  t.equal(cache.size, 1);
  t.equal(cache.duplicates, 1);
});

await t.test('a kept reply has the bytes of the first, whatever they are', async (t) => {
  const cache = cacheOf({ bytesMax: 10_000, entriesMax: 1000, ageMs: 1000 });
  for (let value = 0; value < 256; value += 1) {
    const execute = async (): Promise<Executed> => ({ reply: reply(value * 0x0101_0101), keep: true });
    await cache.answer(call(String(value)), execute);
    t.equal(valueOf(await cache.answer(call(String(value)), execute)), value * 0x0101_0101);
  }
  t.equal(cache.duplicates, 256);
});

await t.test('duplicates join what is running, also when it is not kept', async (t) => {
  const cache = cacheOf({ bytesMax: 10_000, entriesMax: 10, ageMs: 1000 });
  let finish: (executed: Executed) => void = () => t.fail('not started');
  let executions = 0;
  let settled = 0;
  const execute = (): Promise<Executed> => {
    executions++;
    return new Promise((resolve) => (finish = resolve));
  };
  const answers = Promise.all([1, 2, 3].map(() => cache.answer(call('a'), execute)));
  finish({ reply: reply(42, () => settled++), keep: false });
  const replies = await answers;
  t.same(replies.map(valueOf), [42, 42, 42]);
  for (const each of replies) each.settle();
  t.equal(settled, 1, "the first reply's buffers are given back once");
  t.equal(executions, 1);
  t.equal(cache.size, 0);
});

await t.test('what is kept shares no bytes with what was sent', async (t) => {
  const cache = cacheOf({ bytesMax: 100_000, entriesMax: 10, ageMs: 1000 });
  const pooled = Buffer.alloc(4096, 1);
  const execute = async (): Promise<Executed> => ({
    reply: new ReplyEncoder().encode((writer) => writer.bytes(pooled)),
    keep: true,
  });
  const first = await cache.answer(call('a'), execute);
  pooled.fill(2);
  t.ok(first.chunks.every((chunk) => chunk.buffer !== pooled.buffer));
  const again = Buffer.concat([...(await cache.answer(call('a'), execute)).chunks]);
  t.same(again.subarray(4), Buffer.alloc(4096, 1));
});

await t.test('bounded by age, by count and by bytes', async (t) => {
  let nowMs = 0;
  const cache = cacheOf({ bytesMax: 3000, entriesMax: 5, ageMs: 1000, now: () => nowMs });
  const { execute, executions } = counter();
  await cache.answer(call('a'), execute);
  nowMs += 999;
  await cache.answer(call('a'), execute);
  t.equal(executions(), 1, 'young enough');
  nowMs += 2;
  await cache.answer(call('a'), execute);
  t.equal(executions(), 2, 'too old');
  for (let i = 0; i < 20; i++) await cache.answer(call(`n${i}`), execute);
  t.equal(cache.size, 5);
  const long = async (): Promise<Executed> => ({
    reply: new ReplyEncoder().encode((writer) => writer.raw(Buffer.alloc(1000))),
    keep: true,
  });
  for (let i = 0; i < 20; i++) await cache.answer(call(`l${i}`), long);
  t.equal(cache.size, 2);
});

await t.test('bulk calls push out their own replies alone', async (t) => {
  const cache = cacheOf({ bytesMax: 100_000, entriesMax: 5, ageMs: 1000 });
  const { execute, executions } = counter();
  await cache.answer(call('rename'), execute);
  for (let i = 0; i < 20; i++) await cache.answer(call(`w${i}`, { isBulk: true }), execute);
  t.equal(cache.size, 6);
  t.equal(valueOf(await cache.answer(call('rename'), execute)), 1);
  t.equal(executions(), 21);
});

await t.test('a busy client pushes out its own replies, not those of others', async (t) => {
  const cache = cacheOf({ bytesMax: 100_000, entriesMax: 100, ageMs: 1000 });
  const { execute } = counter();
  const quiet = Array.from({ length: 40 }, (_, i) => call(`q${i}`, { client: `quiet${i % 2}` }));
  const first: number[] = [];
  for (const each of quiet) first.push(valueOf(await cache.answer(each, execute)));
  for (let i = 0; i < 1000; i++) await cache.answer(call(`b${i}`, { client: 'busy' }), execute);
  t.equal(cache.size, 100);
  const again: number[] = [];
  for (const each of quiet) again.push(valueOf(await cache.answer(each, execute)));
  t.same(again, first);
  t.equal(cache.duplicates, 40);
  const before = valueOf(await cache.answer(call('b999', { client: 'busy' }), execute));
  t.equal(before, 1040, 'its last replies are kept');
});

await t.test('what is too old is let go, also of clients that are silent', async (t) => {
  let nowMs = 0;
  const cache = cacheOf({ bytesMax: 100_000, entriesMax: 100, ageMs: 1000, now: () => nowMs });
  const { execute } = counter();
  for (let i = 0; i < 10; i++) await cache.answer(call('a', { client: `silent${i}` }), execute);
  nowMs = 1001;
  await cache.answer(call('a', { client: 'other' }), execute);
  t.equal(cache.size, 1);
});

await t.test(
  'any calls of any clients: within the bounds, and the answer is the first one where it is kept',
  async () => {
    const calls = fc.array(
      fc.record({ client: fc.nat(5), key: fc.nat(30), isBulk: fc.boolean(), ms: fc.nat(40) }),
      {
        maxLength: 300,
      },
    );
    await fc.assert(
      fc.asyncProperty(calls, async (history) => {
        let nowMs = 0;
        const cache = cacheOf({ bytesMax: 210 * 9, entriesMax: 7, ageMs: 500, now: () => nowMs });
        const answered = new Map<string, { value: number; atMs: number }>();
        const { execute, executions } = counter();
        for (const { client, key, isBulk, ms } of history) {
          nowMs += ms;
          const id = `${client} ${key} ${isBulk}`;
          const before = executions();
          const value = valueOf(await cache.answer(call(id, { client: String(client), isBulk }), execute));
          const last = answered.get(id);
          if (executions() > before) answered.set(id, { value, atMs: nowMs });
          else if (last?.value !== value || nowMs - last.atMs > 500)
            throw new Error(`${id}: ${value} at ${nowMs}`);
          // Eight bytes of reply and 200 of entry, of two kinds.
          if (cache.size > 14) throw new Error(`${cache.size} replies`);
        }
      }),
    );
  },
);

await t.test('an execution that fails unexpectedly fails its duplicates and is forgotten', async (t) => {
  const cache = cacheOf({ bytesMax: 3000, entriesMax: 5, ageMs: 1000 });
  const broken = async (): Promise<Executed> => Promise.reject(new Error('broken'));
  const both = await Promise.allSettled([cache.answer(call('a'), broken), cache.answer(call('a'), broken)]);
  t.same(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  t.equal(valueOf(await cache.answer(call('a'), counter().execute)), 1);
});
