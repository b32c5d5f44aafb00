import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { anyOf, LightSignal } from '../../src/cancel/light-signal.js';

/** Node's own, with the same face. */
function nodes(): { readonly signal: AbortSignal; readonly abort: (reason?: unknown) => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
}

function light(): ReturnType<typeof nodes> {
  const signal = new LightSignal();
  return { signal, abort: (reason) => signal.abort(reason) };
}

await t.test('it does what a signal of Node does', (t) => {
  const story = ({ signal, abort }: ReturnType<typeof nodes>): unknown[] => {
    const told: unknown[] = [];
    const tell = (what: string) => (event: Event) => told.push(what, event.type, signal.aborted);
    const [first, second, third, late] = [tell('first'), tell('second'), tell('third'), tell('late')];
    told.push(signal.aborted, signal.reason);
    signal.throwIfAborted();
    signal.addEventListener('abort', first, { once: true });
    signal.addEventListener('abort', first, { once: true });
    signal.addEventListener('abort', second);
    signal.addEventListener('abort', () => signal.removeEventListener('abort', third));
    signal.addEventListener('abort', { handleEvent: tell('object') });
    signal.addEventListener('abort', third);
    signal.addEventListener('other', tell('other'));
    signal.removeEventListener('abort', second);
    abort('why');
    abort('again');
    signal.addEventListener('abort', late);
    told.push(signal.aborted, signal.reason);
    try {
      signal.throwIfAborted();
    } catch (error) {
      told.push(error);
    }
    return told;
  };
  t.same(story(light()), story(nodes()));
  const { signal, abort } = light();
  abort();
  const other = nodes();
  other.abort();
  t.same(
    [(signal.reason as Error).name, (signal.reason as Error).message],
    [(other.signal.reason as Error).name, (other.signal.reason as Error).message],
    'without a reason',
  );
  t.end();
});

await t.test('onabort is called', (t) => {
  const signal = new LightSignal();
  let called = 0;
  signal.onabort = () => (called += 1);
  signal.abort();
  t.equal(called, 1);
  t.end();
});

await t.test('Node takes it where it listens only', async (t) => {
  const signal = new LightSignal();
  const waiting = delay(60_000, undefined, { signal });
  signal.abort();
  await t.rejects(waiting, { name: 'AbortError' });
});

await t.test('anyOf is aborted with the first, for its reason', (t) => {
  const [a, b] = [new LightSignal(), new AbortController()];
  const any = anyOf([a, b.signal]);
  t.notOk(any.signal.aborted);
  b.abort('b');
  a.abort('a');
  t.equal(any.signal.reason, 'b');
  t.equal(anyOf([new LightSignal(), b.signal]).signal.reason, 'b', 'also when that was before');
  const c = new LightSignal();
  const left = anyOf([c]);
  left.end();
  c.abort();
  t.notOk(left.signal.aborted, 'not behind its end');
  t.end();
});

await t.test('a reason may be made when somebody asks for it, once', (t) => {
  const signal = new LightSignal();
  let made = 0;
  let told = 0;
  signal.addEventListener('abort', () => (told += 1));
  signal.abortFor(() => {
    made += 1;
    return new Error('why');
  });
  t.equal(signal.aborted, true);
  t.same([told, made], [1, 0]);
  t.throws(() => signal.throwIfAborted(), { message: 'why' });
  t.equal(signal.reason, signal.reason);
  t.equal(made, 1);
  signal.abort('again');
  signal.abortFor(() => 'and again');
  t.match(signal.reason, { message: 'why' });
  t.end();
});
