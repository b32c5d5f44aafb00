/**
 * Histories of a mount and of another S3 user of the same bucket, who changes objects between the mount's calls and in the middle of them.
 * Every version of an object is filled with a byte of its own, so that a READ that mixes two is seen.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FsError } from '../../../src/fs/errors.js';
import type { Handle } from '../../../src/fs/file-system.js';
import type { StoreCall } from '../../support/memory-store.js';
import { treeOf } from '../model/tree.js';
import { Mounted } from '../mounted.js';

const PATHS = ['a', 'b', 'd', 'a/a', 'd/a', 'd/b', 'd/d/a'];

/** What the other user does, before or after the n-th request of the mount in a step. */
interface Intrusion {
  readonly act: 'put' | 'delete' | 'deleteBelow';
  readonly path: string;
  readonly bytes: number;
  readonly request: number;
  readonly when: 'before' | 'after';
}

/** What the mount's client does in one call, or two for `replace`. */
type Action =
  | {
      readonly op: 'replace' | 'patch' | 'commit' | 'read' | 'chmod' | 'create';
      readonly path: string;
      readonly bytes: number;
    }
  | { readonly op: 'list' | 'mkdir'; readonly path: string }
  | { readonly op: 'remove' | 'rmdir'; readonly path: string }
  | { readonly op: 'rename'; readonly path: string; readonly to: string };

export type Step =
  | { readonly step: 'run'; readonly actions: readonly Action[]; readonly intrusions: readonly Intrusion[] }
  | { readonly step: 'advance'; readonly ms: number }
  | { readonly step: 'rest' };

const path = fc.constantFrom(...PATHS);
const bytes = fc.constantFrom(0, 1, 20, 5000);
const intrusion: fc.Arbitrary<Intrusion> = fc.record({
  act: fc.constantFrom('put' as const, 'put' as const, 'delete' as const, 'deleteBelow' as const),
  path,
  bytes,
  request: fc.nat({ max: 4 }),
  when: fc.constantFrom('before' as const, 'after' as const),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constantFrom(
        'replace' as const,
        'patch' as const,
        'commit' as const,
        'read' as const,
        'chmod' as const,
        'create' as const,
      ),
      path,
      bytes,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constantFrom('list' as const, 'list' as const, 'mkdir' as const), path }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constantFrom('remove' as const, 'rmdir' as const), path }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('rename' as const), path, to: path }) },
);
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      step: fc.constant('run' as const),
      actions: fc.array(action, { minLength: 1, maxLength: 3 }).map(oneReplacement),
      intrusions: fc.array(intrusion, { maxLength: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ step: fc.constant('advance' as const), ms: fc.constantFrom(1, 300, 3000, 6000) }),
  },
  { weight: 1, arbitrary: fc.constant({ step: 'rest' as const }) },
);

/** Bytes of a mount's WRITE into the middle of a file: of any version. */
const PATCH = 0x50;

export class History {
  readonly mounted: Mounted;
  readonly #root: Handle;
  /** Every handle that was ever given out, by path when it was. */
  readonly #handles = new Map<string, Handle>();
  /** Contents the mount put into the bucket, wherever. */
  readonly #published = new Set<string>();
  /** Keys whose object is the other user's. */
  readonly #theirs = new Set<string>();
  #version = 0x80;
  #requests = 0;
  #pending: Intrusion[] = [];
  /** Calls under way that may replace or remove whatever is at their names. */
  #replacing = 0;

  private constructor(mounted: Mounted, root: Handle) {
    this.mounted = mounted;
    this.#root = root;
    mounted.store.before = (call) => {
      this.#intrude('before');
      this.#judge(call);
    };
    mounted.store.after = (call) => {
      if (call.key !== undefined && /^(Put|Copy|Delete)Object$/.test(call.operation))
        this.#theirs.delete(call.key);
      const stored =
        call.operation === 'PutObject' ? this.mounted.store.objects.get(call.key ?? '') : undefined;
      if (stored !== undefined) this.#published.add(stored.body.toString('latin1'));
      this.#intrude('after');
      this.#requests++;
    };
  }

  static async start(metadataTtlMs: number): Promise<History> {
    const mounted = await Mounted.start({ metadataTtlMs });
    return new History(mounted, await mounted.root());
  }

  async play(each: Step): Promise<void> {
    switch (each.step) {
      case 'advance':
        this.mounted.clock.advance(each.ms);
        return;
      case 'rest':
        await this.mounted.rest();
        return;
      case 'run':
        this.#requests = 0;
        this.#pending = [...each.intrusions];
        await Promise.all(
          each.actions.map((one) =>
            this.#run(one, !each.actions.some((other) => other !== one && meet(other))),
          ),
        );
        for (const left of this.#pending.splice(0)) this.#act(left);
    }
  }

  /** Nobody does anything any more: the mount shows the bucket, and every handle works or is stale. */
  async settle(): Promise<void> {
    const { mounted } = this;
    for (let round = 0; round < 3; round++) {
      await mounted.rest(6000);
      mounted.clock.advance(60_000);
    }
    const { context } = mounted;
    const tree = await treeOf(mounted.fs, context, this.#root);
    const files = Object.entries(tree).filter(([, { type }]) => type !== 'directory');
    const directories = Object.entries(tree).filter(
      ([name, { type }]) => name !== '' && type === 'directory',
    );
    const keys = [...mounted.store.objects.keys()].sort();
    const prefixes = new Set(
      keys.flatMap((key) => [...key.matchAll(/\//g)].map((at) => key.slice(0, at.index))),
    );
    const visible = keys.filter((key) => !key.endsWith('/') && !prefixes.has(key));
    assert.deepEqual(directories.map(([name]) => name).sort(), [...prefixes].sort(), 'directories');
    assert.deepEqual(
      Object.fromEntries(files.map(([name, { content }]) => [name, content]).sort()),
      Object.fromEntries(
        visible.map((key) => [key, mounted.store.objects.get(key)?.body.toString('latin1')]),
      ),
      'files',
    );
    for (const [name, handle] of this.#handles) {
      const code = await this.#code(() => mounted.fs.getattr(context, handle), `getattr of ${name}`);
      assert.ok(code === 'none' || code === 'ESTALE', `the handle of ${name} answers ${code}`);
    }
    mounted.store.before = undefined;
    mounted.store.after = undefined;
    await mounted.stop();
    assert.equal(mounted.budget.usedBytes, 0, 'bytes of the budget leaked');
  }

  #nextVersion(): number {
    this.#version = this.#version >= 0xff ? 0x80 : this.#version + 1;
    return this.#version;
  }

  #intrude(when: Intrusion['when']): void {
    const due = this.#pending.filter((each) => each.when === when && each.request <= this.#requests);
    this.#pending = this.#pending.filter((each) => !due.includes(each));
    for (const each of due) this.#act(each);
  }

  #act({ act, path: key, bytes: length }: Intrusion): void {
    const { store } = this.mounted;
    switch (act) {
      case 'put':
        store.putNow(key, Buffer.alloc(length, this.#nextVersion()));
        this.#theirs.add(key);
        return;
      case 'delete':
        store.objects.delete(key);
        return;
      case 'deleteBelow':
        for (const each of [...store.objects.keys()])
          if (each.startsWith(`${key}/`)) store.objects.delete(each);
    }
  }

  /** The other user's object goes only by a call that names its version, or that is about its name whatever is there. */
  #judge(call: StoreCall): void {
    const { operation, key, condition } = call;
    if (key === undefined || !this.#theirs.has(key) || key.endsWith('/')) return;
    if (operation === 'PutObject')
      assert.ok(condition !== undefined, `a PUT over the other user's "${key}" without a condition`);
    if (operation === 'CopyObject' || operation === 'DeleteObject')
      assert.ok(
        condition !== undefined || this.#replacing > 0,
        `${operation} over the other user's "${key}"`,
      );
  }

  async #run(one: Action, alone: boolean): Promise<void> {
    await this.#code(() => this.#dispatch(one, alone), JSON.stringify(one));
  }

  /** The code of an operation; those that tell of a defect fail the history. */
  async #code(operation: () => unknown, what: string): Promise<string> {
    try {
      await operation();
      return 'none';
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      assert.notEqual(error.code, 'EFAULT', `${what}: ${error.message}`);
      return error.code;
    }
  }

  async #at(names: readonly string[]): Promise<Handle> {
    let handle = this.#root;
    for (const name of names)
      ({ handle } = await this.mounted.fs.lookup(this.mounted.context, handle, Buffer.from(name)));
    if (names.length > 0) this.#handles.set(`${names.join('/')}#${handle.toString('hex')}`, handle);
    return handle;
  }

  async #dispatch(one: Action, alone: boolean): Promise<void> {
    const { fs, context } = this.mounted;
    const names = one.path.split('/');
    const name = Buffer.from(names.at(-1) ?? '');
    const above = names.slice(0, -1);
    switch (one.op) {
      case 'create':
        await fs.create(context, await this.#at(above), name, { how: 'guarded', attributes: {} });
        return;
      case 'replace': {
        const made = await fs.create(context, await this.#at(above), name, {
          how: 'unchecked',
          attributes: { size: 0 },
        });
        this.#handles.set(`${one.path}#${made.handle.toString('hex')}`, made.handle);
        const data = Buffer.alloc(one.bytes, this.#nextVersion());
        const text = data.toString('latin1');
        await fs.write(context, made.handle, 0, data, 'unstable');
        await fs.commit(context, made.handle);
        if (alone && one.bytes > 0)
          assert.ok(this.#published.has(text), `committed bytes of ${one.path} were never in the bucket`);
        return;
      }
      case 'patch':
        await fs.write(context, await this.#at(names), 0, Buffer.alloc(4, PATCH), 'unstable');
        return;
      case 'commit':
        await fs.commit(context, await this.#at(names));
        return;
      case 'chmod':
        await fs.setattr(context, await this.#at(names), { mode: one.bytes & 0o777 });
        return;
      case 'read': {
        const result = await fs.read(context, await this.#at(names), 0, 10_000);
        const all = Buffer.concat(result.slices);
        result.release();
        const versions = new Set([...all].filter((byte) => byte !== PATCH && byte !== 0));
        assert.ok(versions.size <= 1, `a READ of ${one.path} mixes versions ${[...versions].join(', ')}`);
        return;
      }
      case 'list':
        await this.mounted.list(one.path, 2);
        return;
      case 'mkdir':
        await fs.mkdir(context, await this.#at(above), name, {});
        return;
      case 'remove':
      case 'rmdir': {
        const directory = await this.#at(above);
        await this.#replace(() => fs[one.op](context, directory, name));
        return;
      }
      case 'rename': {
        const to = one.to.split('/');
        const [from, target] = [await this.#at(above), await this.#at(to.slice(0, -1))];
        await this.#replace(() => fs.rename(context, from, name, target, Buffer.from(to.at(-1) ?? '')));
      }
    }
  }

  async #replace(operation: () => Promise<unknown>): Promise<void> {
    this.#replacing++;
    try {
      await operation();
    } finally {
      this.#replacing--;
    }
  }
}

/** It may change the bytes of a file, or which file is at a name. */
const meet = ({ op }: Action): boolean => ['replace', 'patch', 'rename', 'remove'].includes(op);

/** Two clients that replace a file at the same time may mix their bytes by right. */
function oneReplacement(actions: readonly Action[]): readonly Action[] {
  const replacements = actions.filter(({ op }) => op === 'replace');
  return actions.filter((one) => one.op !== 'replace' || one === replacements[0]);
}
