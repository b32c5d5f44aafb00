/**
 * What a file system may show after a crash: the reference after the same history, and of each file the contents it may have. What was
 * answered as safe is there; of what was not there may be any of the states the file went through, whole.
 */
import type { Context, Handle } from '../../../src/fs/file-system.js';
import { MemoryFileSystem } from '../../support/memory-file-system.js';
import { perform, type Operation, type Ran } from './operations.js';
import { treeOf, type Tree } from './tree.js';

/** One operation as it was run: its slots were these, by the step that filled them. */
export interface Step {
  readonly operation: Operation;
  readonly nowNs: bigint;
  readonly slots: readonly number[];
}

const ROOT = -1;

export class DurableReference {
  readonly fs: MemoryFileSystem;
  readonly handles = new Map<number, Handle>();
  readonly #context: Context;
  /** Contents that a crash may leave, as latin1, by fileid; absent: the file's content is safe. */
  readonly #contents = new Map<bigint, Set<string>>();
  #nowNs: bigint;
  #steps = 0;

  private constructor(context: Context, startNs: bigint) {
    this.#context = context;
    this.#nowNs = startNs;
    this.fs = new MemoryFileSystem({ now: () => this.#nowNs });
  }

  static async after(context: Context, startNs: bigint, history: readonly Step[]): Promise<DurableReference> {
    const reference = new DurableReference(context, startNs);
    reference.handles.set(ROOT, await reference.fs.mount(context, '/bucket'));
    for (const step of history) await reference.play(step);
    return reference;
  }

  async play({ operation, nowNs, slots }: Step): Promise<Ran> {
    this.#nowNs = nowNs;
    const step = this.#steps++;
    const slot = (index: number): Handle => {
      const handle = this.handles.get(slots[index % slots.length] ?? ROOT);
      if (handle === undefined) throw new Error('a slot without a handle');
      return handle;
    };
    const before = await this.#contentOfTarget(operation, slot);
    const ran = await perform(operation, { fs: this.fs, context: this.#context, slot, step });
    if (ran.found !== undefined) this.handles.set(step, ran.found);
    if (ran.outcome.code === undefined) await this.#note(operation, slot, before, ran);
    return ran;
  }

  /** True where `shown` is what a crash may leave. */
  async allows(shown: Tree): Promise<boolean> {
    const root = await this.fs.mount(this.#context, '/bucket');
    const tree = await treeOf(this.fs, this.#context, root);
    if (Object.keys(tree).sort().join('\n') !== Object.keys(shown).sort().join('\n')) return false;
    for (const [path, expected] of Object.entries(tree)) {
      const actual = shown[path];
      if (actual?.type !== expected.type || actual.mode !== expected.mode) return false;
      if (expected.content === undefined || actual.content === expected.content) continue;
      let handle = root;
      for (const name of path.split('/'))
        ({ handle } = await this.fs.lookup(this.#context, handle, Buffer.from(name)));
      const { fileid } = await this.fs.getattr(this.#context, handle);
      if (actual.content === undefined || this.#contents.get(fileid)?.has(actual.content) !== true)
        return false;
    }
    return true;
  }

  async #contentOfTarget(operation: Operation, slot: (index: number) => Handle): Promise<string | undefined> {
    if (operation.op === 'create') {
      try {
        const found = await this.fs.lookup(this.#context, slot(operation.dir), Buffer.from(operation.name));
        return await this.#read(found.handle);
      } catch {
        return undefined;
      }
    }
    return 'file' in operation ? this.#read(slot(operation.file)) : undefined;
  }

  async #note(
    operation: Operation,
    slot: (index: number) => Handle,
    before: string | undefined,
    ran: Ran,
  ): Promise<void> {
    const id = ran.ids[0];
    if (id === undefined) return;
    switch (operation.op) {
      case 'write': {
        const now = (await this.#read(slot(operation.file))) ?? '';
        if (operation.stability !== 'unstable') this.#contents.set(id, new Set([now]));
        else this.#contents.set(id, new Set([...this.#allowed(id, before ?? ''), now]));
        return;
      }
      case 'commit':
        this.#contents.delete(id);
        return;
      case 'setSize':
        this.#resize(id, before ?? '', operation.size);
        return;
      case 'create':
        if (operation.size !== undefined) this.#resize(id, before ?? '', operation.size);
        return;
      default:
    }
  }

  /** The new size is safe, whichever of its contents the file will have. */
  #resize(id: bigint, before: string, size: number): void {
    const resized = [...this.#allowed(id, before)].map((content) =>
      content.slice(0, size).padEnd(size, '\0'),
    );
    this.#contents.set(id, new Set(resized));
  }

  #allowed(id: bigint, now: string): Set<string> {
    return this.#contents.get(id) ?? new Set([now]);
  }

  async #read(file: Handle): Promise<string | undefined> {
    try {
      const result = await this.fs.read(this.#context, file, 0, 1 << 20);
      const bytes = Buffer.concat(result.slices).toString('latin1');
      result.release();
      return bytes;
    } catch {
      return undefined;
    }
  }
}
