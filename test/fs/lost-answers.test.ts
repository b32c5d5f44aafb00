/**
 * One client's calls on a few files, with one request after the other that fails, or takes effect and is not answered, or is the last before a
 * crash. Nobody else writes: what is there in the end is what the client wrote, and nothing besides.
 */
import { setImmediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { FsError } from '../../src/fs/errors.js';
import type { Handle } from '../../src/fs/file-system.js';
import type { StoreOperation } from '../support/memory-store.js';
import { unanswered } from './lost-answer.js';
import type { Mounted, MountedOptions } from './mounted.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern } from './small-parts.js';

/** One request in so many is in trouble; with 1, each of them is, and the test takes two minutes. */
const STRIDE = Number(process.env['S3NFSD_LOST_ANSWERS_STRIDE'] ?? 5);

t.setTimeout(600_000);

const CHANGES: ReadonlySet<StoreOperation> = new Set<StoreOperation>([
  'PutObject',
  'CopyObject',
  'DeleteObject',
  'CreateMultipartUpload',
  'UploadPart',
  'UploadPartCopy',
  'CompleteMultipartUpload',
]);

const TROUBLES = ['fails', 'is not answered', 'is the last', 'is the last, and not carried out'] as const;
type Trouble = (typeof TROUBLES)[number];

interface WriteStep {
  readonly call: 'write';
  readonly path: string;
  readonly offset: number;
  readonly data: Buffer;
}

type Step =
  | WriteStep
  | { readonly call: 'commit' | 'create' | 'remove'; readonly path: string }
  | { readonly call: 'size' | 'mode'; readonly path: string; readonly value: number }
  | { readonly call: 'rename'; readonly path: string; readonly to: string }
  | { readonly call: 'rest' };

const write = (path: string, offset: number, data: Buffer): Step => ({ call: 'write', path, offset, data });
const commit = (path: string): Step => ({ call: 'commit', path });
const REST: Step = { call: 'rest' };
const small = pattern(300, 3);
const large = pattern(3 * PART + 500, 5);

const HISTORIES: Readonly<Record<string, readonly Step[]>> = {
  'a small file, written again and again': [
    { call: 'create', path: 'a' },
    write('a', 0, small),
    commit('a'),
    write('a', 100, Buffer.from('second')),
    { call: 'mode', path: 'a', value: 0o600 },
    commit('a'),
    REST,
    { call: 'size', path: 'a', value: 50 },
    write('a', 60, Buffer.from('third')),
    commit('a'),
    write('a', 0, Buffer.from('fourth')),
    REST,
  ],
  'a large file, written again and again': [
    { call: 'create', path: 'a' },
    write('a', 0, large),
    { call: 'mode', path: 'a', value: 0o600 },
    commit('a'),
    write('a', PART + 10, Buffer.from('second')),
    commit('a'),
    REST,
    write('a', large.length, small),
    { call: 'mode', path: 'a', value: 0o640 },
    REST,
    { call: 'size', path: 'a', value: 2 * PART + 5 },
    commit('a'),
    write('a', 5, Buffer.from('third')),
    REST,
  ],
  'a file saved by rename': [
    { call: 'create', path: 'a' },
    write('a', 0, large),
    commit('a'),
    REST,
    { call: 'create', path: 'n' },
    write('n', 0, small),
    commit('n'),
    { call: 'rename', path: 'n', to: 'a' },
    write('a', 300, Buffer.from('more')),
    commit('a'),
    { call: 'rename', path: 'a', to: 'b' },
    { call: 'mode', path: 'b', value: 0o600 },
    write('b', 0, large),
    commit('b'),
    { call: 'rename', path: 'b', to: 'c' },
  ],
  'a file removed and made anew': [
    { call: 'create', path: 'a' },
    write('a', 0, large),
    commit('a'),
    write('a', 10, Buffer.from('second')),
    { call: 'remove', path: 'a' },
    { call: 'create', path: 'a' },
    write('a', 0, small),
    commit('a'),
    REST,
    { call: 'remove', path: 'a' },
    { call: 'create', path: 'a' },
    REST,
    write('a', 0, small),
    { call: 'size', path: 'a', value: 400 },
    REST,
  ],
};

/** What should be there. */
class Model {
  readonly files = new Map<string, { bytes: Buffer; mode: number }>();

  apply(step: Step): void {
    if (step.call === 'rest') return;
    const file = this.files.get(step.path) ?? { bytes: Buffer.alloc(0), mode: 0o644 };
    if (step.call === 'create') this.files.set(step.path, file);
    if (step.call === 'remove') this.files.delete(step.path);
    if (step.call === 'mode') file.mode = step.value;
    if (step.call === 'size') file.bytes = resized(file.bytes, step.value);
    if (step.call === 'write') {
      file.bytes = resized(file.bytes, Math.max(file.bytes.length, step.offset + step.data.length));
      step.data.copy(file.bytes, step.offset);
    }
    if (step.call === 'rename') {
      this.files.delete(step.path);
      this.files.set(step.to, file);
    }
  }
}

function resized(bytes: Buffer, size: number): Buffer {
  const other = Buffer.alloc(size);
  bytes.copy(other, 0, 0, Math.min(bytes.length, size));
  return other;
}

/** WRITEs that a client holds for another crash once `step` has been answered. */
function unstableAfter(unstable: readonly WriteStep[], step: Step): readonly WriteStep[] {
  if (step.call === 'write') return [...unstable, step];
  if (step.call === 'commit' || step.call === 'remove')
    return unstable.filter(({ path }) => path !== step.path);
  if (step.call === 'rename')
    return unstable.map((each) => (each.path === step.path ? { ...each, path: step.to } : each));
  if (step.call !== 'size') return unstable;
  // What is cut off isn't sent again.
  return unstable.map((each) => {
    const end = Math.max(0, step.value - each.offset);
    return each.path === step.path ? { ...each, data: each.data.subarray(0, end) } : each;
  });
}

/** A client: it repeats what is JUKEBOX, and after a crash what it wrote since the last COMMIT of a file. */
class Client {
  readonly #m: Mounted;
  /** WRITEs that are to be sent again after a crash. */
  #unstable: readonly WriteStep[] = [];
  /** The daemon has died: what is under way is not answered. */
  #died: Promise<'died'> = new Promise(() => undefined);
  #die = (): void => undefined;

  constructor(m: Mounted) {
    this.#m = m;
    this.#live();
  }

  #live(): void {
    this.#died = new Promise((resolve) => (this.#die = () => resolve('died')));
  }

  /** From within a request. */
  kill(): void {
    this.#die();
  }

  async do(step: Step): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const ended = await Promise.race([this.#died, this.#try(step, attempt > 0)]);
      if (ended === 'done') break;
      if (ended === 'died') await this.#restart();
      else this.#m.clock.advance(12_000);
      if (attempt > 20) throw new Error(`${step.call} does not end`);
    }
    this.#unstable = unstableAfter(this.#unstable, step);
  }

  async #restart(): Promise<void> {
    await this.#m.crash();
    await this.#m.open();
    this.#live();
    for (const step of this.#unstable) await this.#again(step);
  }

  /** Bytes of a file whose removal was under way are nobody's any more. */
  async #again(step: Step): Promise<void> {
    await this.#try(step, true).catch((error: unknown) => {
      if (!(error instanceof FsError && error.code === 'ENOENT')) throw error;
    });
  }

  async #try(step: Step, isAgain: boolean): Promise<'done' | 'later'> {
    const m = this.#m;
    try {
      const call = this.#call(step, isAgain);
      call.catch(() => undefined);
      // COMMITs of a stream are held.
      for (let turn = 0; turn < 3; turn++) await setImmediate();
      m.clock.advance(300);
      await call;
      return 'done';
    } catch (error) {
      if (error instanceof FsError && error.code === 'EJUKEBOX') return 'later';
      throw error;
    }
  }

  async #call(step: Step, isAgain: boolean): Promise<void> {
    const m = this.#m;
    const { fs, context } = m;
    if (step.call === 'rest') {
      m.clock.advance(15_000);
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      m.clock.advance(15_000);
      return await m.rest(40_000);
    }
    if (step.call === 'create') {
      await fs.create(context, await m.root(), Buffer.from(step.path), {
        how: 'unchecked',
        attributes: { mode: 0o644 },
      });
      return;
    }
    // RFC 1813 4.5: what is repeated may have had its effect.
    const gone = (error: unknown): void => {
      if (!isAgain || !(error instanceof FsError && error.code === 'ENOENT')) throw error as Error;
    };
    if (step.call === 'remove') return await m.remove(step.path).catch(gone);
    if (step.call === 'rename') return await m.rename(step.path, step.to).catch(gone);
    const handle: Handle = await m.at(step.path);
    if (step.call === 'commit') await fs.commit(context, handle);
    if (step.call === 'mode') await fs.setattr(context, handle, { mode: step.value });
    if (step.call === 'size') await fs.setattr(context, handle, { size: step.value });
    if (step.call === 'write') {
      for (let at = 0; at < step.data.length; at += 5000) {
        const piece = step.data.subarray(at, at + 5000);
        await fs.write(context, handle, step.offset + at, piece, 'unstable');
      }
    }
  }
}

/** Plays the steps with `times` requests in trouble, from number `request` (from 1) on; false where there are fewer requests. */
async function run(
  t: Test,
  options: MountedOptions,
  steps: readonly Step[],
  at: { readonly request: number; readonly times: number; readonly trouble: Trouble },
): Promise<boolean> {
  const m = await mounted(t, options);
  const client = new Client(m);
  const model = new Model();
  let changes = 0;
  let hit = '';
  const { request, times, trouble } = at;
  const isHit = ({ operation }: { readonly operation: StoreOperation }): boolean => {
    if (!CHANGES.has(operation)) return false;
    changes += 1;
    if (changes < request || changes >= request + times) return false;
    hit += ` ${operation}`;
    return true;
  };
  const fail = ({ operation }: { readonly operation: StoreOperation }): never => {
    throw unanswered(operation);
  };
  if (trouble === 'fails') m.store.before = (call) => (isHit(call) ? fail(call) : undefined);
  if (trouble === 'is not answered') m.store.after = (call) => (isHit(call) ? fail(call) : undefined);
  const kill = (call: { readonly operation: StoreOperation }): Promise<void> | undefined => {
    if (!isHit(call)) return undefined;
    client.kill();
    return new Promise<void>(() => undefined);
  };
  if (trouble === 'is the last') m.store.after = kill;
  if (trouble === 'is the last, and not carried out') m.store.before = kill;
  const where = `${trouble} at ${request}, ${times} times:`;
  try {
    for (const step of steps) {
      await client.do(step);
      model.apply(step);
    }
    m.store.before = undefined;
    m.store.after = undefined;
    await client.do(REST);
    await client.do(REST);
    const found = Object.fromEntries(
      [...m.store.objects].map(([key, { body, headers }]) => [
        key,
        `${body.length} ${body.toString('base64url').slice(0, 40)} ${headers.metadata['file-permissions'] ?? ''}`,
      ]),
    );
    const expected = Object.fromEntries(
      [...model.files].map(([key, { bytes, mode }]) => [
        key,
        `${bytes.length} ${bytes.toString('base64url').slice(0, 40)} 0100${mode.toString(8)}`,
      ]),
    );
    t.strictSame(found, expected, `${where}${hit}`);
    for (const [key, { bytes }] of model.files)
      t.ok(m.store.objects.get(key)?.body.equals(bytes), `bytes of ${key}, ${where}${hit}`);
    while (m.spool.usedBytes > 0) await setImmediate();
    // Nobody knows of an upload whose id never arrived.
    if (!hit.includes('CreateMultipartUpload'))
      t.equal(m.store.uploads.size, 0, `no upload is left, ${where}${hit}`);
  } catch (error) {
    t.fail(`${where}${hit}: ${String(error)}`);
  }
  await m.end();
  return hit !== '';
}

async function troubled(t: Test, options: MountedOptions): Promise<void> {
  for (const [name, steps] of Object.entries(HISTORIES))
    await t.test(name, async (t) => {
      let first = 0;
      for (const trouble of TROUBLES)
        for (const times of trouble.startsWith('is the last') ? [1] : [1, 5]) {
          first = (first % STRIDE) + 1;
          for (let request = first; ; request += STRIDE)
            if (!(await run(t, options, steps, { request, times, trouble }))) break;
        }
    });
}

await t.test(
  'policy publish: requests that fail, are not answered or are the last leave nothing but what was written',
  (t) => troubled(t, SMALL_PARTS),
);

await t.test(
  'policy journal: requests that fail, are not answered or are the last leave nothing but what was written',
  (t) => troubled(t, JOURNAL),
);
