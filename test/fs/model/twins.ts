/**
 * The file system under test and the reference, run side by side. Operations that ran at the same time must have answers that
 * some order of them gives on the reference, which is played again from the start for every order.
 */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { Handle } from '../../../src/fs/file-system.js';
import { MemoryFileSystem } from '../../support/memory-file-system.js';
import { Mounted, type MountedOptions } from '../mounted.js';
import { inOneCall, perform, type Operation, type Ran } from './operations.js';
import { objectsOf, treeOf, type Tree } from './tree.js';

/** An operation of the history, with what replaying it needs. */
interface Played {
  readonly step: number;
  readonly operation: Operation;
  readonly nowNs: bigint;
  /** Slots as they were when the operation was begun: filled ones, by the step that filled them. */
  readonly slots: readonly number[];
}

const ROOT = -1;
/** The root as the reference has it. */
const AS_REFERENCE = { uid: 0, gid: 0, directoryMode: 0o777, fileMode: 0o644 };

/** The reference after a history. */
class Reference {
  nowNs = 0n;
  readonly fs: MemoryFileSystem;
  /** Handles by the step that found them. */
  readonly handles = new Map<number, Handle>();

  constructor(startNs: bigint) {
    this.nowNs = startNs;
    this.fs = new MemoryFileSystem({ now: () => this.nowNs });
  }
}

export class Twins {
  readonly mounted: Mounted;
  readonly #startNs: bigint;
  #reference: Reference;
  readonly #history: Played[] = [];
  /** Handles of the file system under test, by the step that found them. */
  readonly #handles = new Map<number, Handle>();
  /** fileid under test by fileid of the reference. */
  readonly #ids = new Map<bigint, bigint>();
  readonly #idsBack = new Map<bigint, bigint>();
  /** The last ctime seen of each file under test. */
  readonly #ctimes = new Map<bigint, bigint>();
  #step = 0;

  private constructor(mounted: Mounted) {
    this.mounted = mounted;
    this.#startNs = this.#nowNs;
    this.#reference = new Reference(this.#startNs);
  }

  static async start(
    options: MountedOptions = {},
    commitPolicy: 'publish' | 'journal' = 'publish',
  ): Promise<Twins> {
    const exports = [{ ...AS_REFERENCE, commitPolicy }];
    const twins = new Twins(await Mounted.start({ exports, ...options }));
    const root = await twins.mounted.root();
    // A bucket's root has the time at which it was first seen.
    await twins.mounted.fs.getattr(twins.mounted.context, root);
    twins.#handles.set(ROOT, root);
    twins.#reference.handles.set(ROOT, await twins.#reference.fs.mount(twins.mounted.context, '/bucket'));
    return twins;
  }

  get reference(): MemoryFileSystem {
    return this.#reference.fs;
  }

  /** Runs operations at the same time and finds the order that explains their answers. */
  async run(...operations: readonly Operation[]): Promise<void> {
    const played = this.#plan(operations.length > 1 ? operations.map(inOneCall) : operations);
    const ran = await Promise.all(
      played.map(async (each) => this.#perform(each, this.mounted, this.#handles)),
    );
    if (played.length === 1) {
      const [one] = played;
      const [result] = ran;
      if (one === undefined || result === undefined) return;
      const expected = await this.#play(this.#reference, one);
      assert.deepEqual(result.outcome, expected.outcome, describe(one));
      this.#checkReports(result, one.operation);
      this.#adopt(one, result, expected);
      this.#history.push(one);
    } else {
      await this.#explain(played, ran);
    }
  }

  /** Both show the same tree, and nothing is known twice. */
  async compare(): Promise<Tree> {
    const { context } = this.mounted;
    const shown = await treeOf(this.mounted.fs, context, await this.mounted.root());
    assert.deepEqual(shown, await this.expectedTree(), 'the tree through the mount');
    return shown;
  }

  async expectedTree(): Promise<Tree> {
    const { context } = this.mounted;
    return treeOf(this.#reference.fs, context, await this.#reference.fs.mount(context, '/bucket'));
  }

  /** Everything published: the bucket holds the tree and nothing else. */
  async compareBucket(): Promise<void> {
    // Markers of directories that S3 users don't need are written when the last entry leaves: all directories here were made by MKDIR.
    assert.deepEqual(this.mounted.bucket(), objectsOf(await this.expectedTree()), 'the bucket');
    assert.equal(this.mounted.store.uploads.size, 0, 'no upload is left behind');
  }

  /** A handle of every file found so far names the same file on both sides. */
  async compareHandles(): Promise<void> {
    for (const [step, handle] of this.#handles) {
      const theirs = this.#reference.handles.get(step);
      assert.ok(theirs);
      const operation: Operation = { op: 'getattr', file: 0 };
      const run = { context: this.mounted.context, step: 0 };
      const [ours, expected] = await Promise.all([
        perform(operation, { ...run, fs: this.mounted.fs, slot: () => handle }),
        perform(operation, { ...run, fs: this.#reference.fs, slot: () => theirs }),
      ]);
      assert.deepEqual(ours.outcome, expected.outcome, `the handle of step ${step}`);
      this.#matchIds(ours, expected, `the handle of step ${step}`);
    }
  }

  get #nowNs(): bigint {
    return BigInt(this.mounted.clock.nowMs()) * 1_000_000n;
  }

  #plan(operations: readonly Operation[]): Played[] {
    const slots = [...this.#handles.keys()];
    return operations.map((operation) => ({
      step: this.#step++,
      operation,
      nowNs: this.#nowNs,
      slots,
    }));
  }

  async #perform(played: Played, mounted: Mounted, handles: ReadonlyMap<number, Handle>): Promise<Ran> {
    const { fs, context } = mounted;
    return perform(played.operation, { fs, context, slot: slotIn(played, handles), step: played.step });
  }

  async #play(reference: Reference, played: Played): Promise<Ran> {
    reference.nowNs = played.nowNs;
    const { fs } = reference;
    const { context } = this.mounted;
    const ran = await perform(played.operation, {
      fs,
      context,
      slot: slotIn(played, reference.handles),
      step: played.step,
    });
    if (ran.found !== undefined) reference.handles.set(played.step, ran.found);
    return ran;
  }

  async #explain(played: readonly Played[], ran: readonly Ran[]): Promise<void> {
    const tried: string[] = [];
    for (const order of permutations(played.map((_, at) => at))) {
      const reference = new Reference(this.#startNs);
      reference.handles.set(ROOT, await reference.fs.mount(this.mounted.context, '/bucket'));
      for (const each of this.#history) await this.#play(reference, each);
      const expected = new Map<number, Ran>();
      for (const at of order) {
        const each = played[at];
        if (each !== undefined) expected.set(at, await this.#play(reference, each));
      }
      const differing = order.filter(
        (at) => !isDeepStrictEqual(sameTime(ran[at]?.outcome), sameTime(expected.get(at)?.outcome)),
      );
      const { context } = this.mounted;
      const tree = await treeOf(reference.fs, context, await reference.fs.mount(context, '/bucket'));
      const shown = await treeOf(this.mounted.fs, context, await this.mounted.root());
      if (differing.length === 0 && isDeepStrictEqual(shown, tree)) {
        this.#reference = reference;
        for (const at of order) {
          const [each, result, theirs] = [played[at], ran[at], expected.get(at)];
          if (each === undefined || result === undefined || theirs === undefined) continue;
          this.#adopt(each, result, theirs);
          this.#history.push(each);
        }
        return;
      }
      tried.push(
        JSON.stringify(
          { order, answers: order.map((at) => expected.get(at)?.outcome), shown, tree },
          (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value),
          1,
        ),
      );
    }
    assert.fail(
      `no order explains ${played.map(describe).join(' || ')}, answered ${JSON.stringify(ran.map(({ outcome }) => outcome))}\n${tried.join('\n')}`,
    );
  }

  #adopt(played: Played, ran: Ran, expected: Ran): void {
    if (ran.found !== undefined) this.#handles.set(played.step, ran.found);
    this.#matchIds(ran, expected, describe(played));
  }

  /** A file is one file: its fileid is the same whenever it is told, and no other's. */
  #matchIds(ran: Ran, expected: Ran, what: string): void {
    assert.equal(ran.ids.length, expected.ids.length, what);
    expected.ids.forEach((theirs, at) => {
      const ours = ran.ids[at];
      assert.ok(ours !== undefined);
      assert.equal(this.#ids.get(theirs) ?? ours, ours, `${what}: the fileid changed`);
      assert.equal(this.#idsBack.get(ours) ?? theirs, theirs, `${what}: the fileid is another file's`);
      this.#ids.set(theirs, ours);
      this.#idsBack.set(ours, theirs);
    });
  }

  /** wcc_data: a change is seen, and time never runs backwards. */
  #checkReports(ran: Ran, operation: Operation | undefined): void {
    for (const { before, after } of ran.reports) {
      if (after === undefined) continue;
      const last = this.#ctimes.get(after.fileid) ?? 0n;
      assert.ok(
        after.ctimeNs >= last || before === undefined,
        `ctime went back at ${JSON.stringify(operation?.op)}`,
      );
      this.#ctimes.set(after.fileid, after.ctimeNs > last ? after.ctimeNs : last);
      const changes =
        operation?.op === 'setMode' || operation?.op === 'setTimes' || operation?.op === 'mkdir';
      if (changes && before !== undefined)
        assert.ok(after.ctimeNs > before.ctimeNs, `ctime stood still at ${operation.op}`);
    }
  }
}

const slotIn =
  ({ slots }: Played, handles: ReadonlyMap<number, Handle>) =>
  (slot: number): Handle => {
    const handle = handles.get(slots[slot % slots.length] ?? ROOT);
    if (handle === undefined) throw new Error('a slot without a handle');
    return handle;
  };

const describe = ({ step, operation }: Played): string =>
  `step ${step}: ${JSON.stringify(operation, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))}`;

function permutations(items: readonly number[]): number[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}

/** Attributes in an answer may already show what ran at the same time: only what the operation itself says is compared. */
function sameTime(outcome: unknown): unknown {
  const { code, value } = (outcome ?? {}) as { code?: string; value?: unknown };
  if (code !== undefined) return code;
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.filter((each) => typeof each !== 'object');
  return (value as { type?: string } | undefined)?.type;
}
