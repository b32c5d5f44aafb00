/**
 * Operations of an NFS client as data, so that fast-check can make, shrink and print them, and so that the same operation runs on
 * the file system under test and on the reference. Files are named by slots: the handle that an earlier operation found.
 */
import fc from 'fast-check';
import { FsError } from '../../../src/fs/errors.js';
import type {
  AttributeChanges,
  Attributes,
  ChangeReport,
  Context,
  FileSystem,
  Handle,
  Stability,
} from '../../../src/fs/file-system.js';

/** Index into the slots that are filled, taken modulo their number. Slot 0 is the export's root. */
type Slot = number;

export type Operation =
  | {
      readonly op: 'create';
      readonly dir: Slot;
      readonly name: string;
      readonly how: 'unchecked' | 'guarded';
      readonly size?: number;
    }
  | { readonly op: 'createExclusive'; readonly dir: Slot; readonly name: string; readonly verifier: number }
  | {
      readonly op: 'write';
      readonly file: Slot;
      readonly offset: number;
      readonly length: number;
      readonly stability: Stability;
    }
  | { readonly op: 'commit'; readonly file: Slot }
  | { readonly op: 'setSize'; readonly file: Slot; readonly size: number }
  | { readonly op: 'setMode'; readonly file: Slot; readonly mode: number; readonly guard?: 'right' | 'wrong' }
  | { readonly op: 'setTimes'; readonly file: Slot; readonly mtimeNs: bigint }
  | { readonly op: 'mkdir'; readonly dir: Slot; readonly name: string }
  | { readonly op: 'symlink'; readonly dir: Slot; readonly name: string; readonly target: string }
  | { readonly op: 'remove' | 'rmdir' | 'lookup'; readonly dir: Slot; readonly name: string }
  | {
      readonly op: 'rename';
      readonly dir: Slot;
      readonly name: string;
      readonly toDir: Slot;
      readonly toName: string;
    }
  | { readonly op: 'getattr' | 'readlink'; readonly file: Slot }
  | { readonly op: 'read'; readonly file: Slot; readonly offset: number; readonly count: number }
  | { readonly op: 'list'; readonly dir: Slot; readonly pageEntries: number };

export const NAMES = ['a', 'b', 'a.b', 'a!', 'é'];
const name = fc.constantFrom(...NAMES);
const slot = fc.nat({ max: 30 });
/** Most operations are on the first few files, so that they meet. */
const file = fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 4 }) }, { weight: 1, arbitrary: slot });
const dir = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: file });
const size = fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 9000 }));
const stability = fc.constantFrom<Stability>('unstable', 'unstable', 'dataSync', 'fileSync');

/** `setMode` with a guard looks first and is two calls: at the same time as others it goes without. */
export const inOneCall = (operation: Operation): Operation =>
  operation.op === 'setMode' ? { op: 'setMode', file: operation.file, mode: operation.mode } : operation;

/** Operations that change something. */
export const mutation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      {
        op: fc.constant('create' as const),
        dir,
        name,
        how: fc.constantFrom('unchecked' as const, 'guarded' as const),
        size,
      },
      { requiredKeys: ['op', 'dir', 'name', 'how'] },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('createExclusive' as const),
      dir,
      name,
      verifier: fc.nat({ max: 1 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ op: fc.constant('write' as const), file, offset: size, length: size, stability }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('commit' as const), file }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('setSize' as const), file, size }) },
  {
    weight: 1,
    arbitrary: fc.record(
      {
        op: fc.constant('setMode' as const),
        file,
        mode: fc.nat({ max: 0o7777 }),
        guard: fc.constantFrom('right' as const, 'wrong' as const),
      },
      { requiredKeys: ['op', 'file', 'mode'] },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('setTimes' as const),
      file,
      mtimeNs: fc.bigInt({ min: 0n, max: 1n << 61n }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('mkdir' as const), dir, name }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('symlink' as const),
      dir,
      name,
      target: fc.constantFrom('a', '../a/b', 'nowhere/é'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constantFrom('remove' as const, 'rmdir' as const), dir, name }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ op: fc.constant('rename' as const), dir, name, toDir: dir, toName: name }),
  },
);

/** Operations that only look. */
export const query: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ op: fc.constant('lookup' as const), dir, name }),
  fc.record({ op: fc.constantFrom('getattr' as const, 'readlink' as const), file }),
  fc.record({ op: fc.constant('read' as const), file, offset: size, count: fc.nat({ max: 10_000 }) }),
  fc.record({ op: fc.constant('list' as const), dir, pageEntries: fc.integer({ min: 1, max: 6 }) }),
);

/** What a client can compare: times as they must agree, nothing that differs by right (ids, atime, a directory's links). */
export interface Outcome {
  readonly code?: string;
  readonly value?: unknown;
}

/** An operation that ran: its outcome, the handle it found, and every file's identity it told of. */
export interface Ran {
  readonly outcome: Outcome;
  readonly found?: Handle;
  /** fileids in the order in which the operation told them. */
  readonly ids: readonly bigint[];
  /** WCC data that the operation answered with, for checks of its own sanity. */
  readonly reports: readonly ChangeReport[];
}

/** Bytes of a write: its own, so that a mix of two is seen. */
export function bytesOf(step: number, length: number): Buffer {
  return Buffer.alloc(length, `${step.toString(36)};`);
}

export function visible({ type, mode, uid, gid, size, used, mtimeNs }: Attributes): unknown {
  return {
    type,
    mode: visibleMode(type, mode),
    uid,
    gid,
    size,
    used,
    // Two changes within one millisecond differ by what each implementation adds to keep times apart.
    mtimeMs: String(mtimeNs / 1_000_000n),
  };
}

/** Nothing goes by the mode of a symlink: implementations may keep it or not. */
export const visibleMode = (type: string, mode: number): number => (type === 'symlink' ? 0o777 : mode);

export interface Run {
  readonly fs: FileSystem;
  readonly context: Context;
  /** The handle in a slot. */
  readonly slot: (slot: Slot) => Handle;
  /** Position of the operation in the history: makes a write's bytes its own. */
  readonly step: number;
}

/** Runs one operation; FsErrors are outcomes, anything else is a defect and thrown. */
export async function perform(operation: Operation, run: Run): Promise<Ran> {
  const ids: bigint[] = [];
  const reports: ChangeReport[] = [];
  const seen: { handle?: Handle } = {};
  const note = (attributes: Attributes): unknown => {
    ids.push(attributes.fileid);
    return visible(attributes);
  };
  try {
    const value = await dispatch(operation, run, note, reports, seen);
    return { outcome: { value }, ids, reports, ...(seen.handle !== undefined && { found: seen.handle }) };
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    if (error.code === 'EFAULT') throw error;
    return { outcome: { code: error.code }, ids, reports };
  }
}

async function dispatch(
  operation: Operation,
  { fs, context, slot: handleOf, step }: Run,
  note: (attributes: Attributes) => unknown,
  reports: ChangeReport[],
  seen: { handle?: Handle },
): Promise<unknown> {
  const took = (found: { readonly handle: Handle; readonly attributes: Attributes }): unknown => {
    seen.handle = found.handle;
    return note(found.attributes);
  };
  const setattr = async (file: Handle, changes: AttributeChanges, guard?: bigint): Promise<unknown> => {
    const report = await fs.setattr(context, file, changes, guard);
    reports.push(report);
    return report.after === undefined ? undefined : note(report.after);
  };
  switch (operation.op) {
    case 'create': {
      const attributes = operation.size === undefined ? {} : { size: operation.size };
      const mode = { how: operation.how, attributes };
      const made = await fs.create(context, handleOf(operation.dir), Buffer.from(operation.name), mode);
      reports.push(made.parent);
      return took(made);
    }
    case 'createExclusive': {
      const verifier = Buffer.alloc(8, operation.verifier);
      const made = await fs.create(context, handleOf(operation.dir), Buffer.from(operation.name), {
        how: 'exclusive',
        verifier,
      });
      return took(made);
    }
    case 'write': {
      const data = bytesOf(step, operation.length);
      const result = await fs.write(
        context,
        handleOf(operation.file),
        operation.offset,
        data,
        operation.stability,
      );
      // The caller's buffer is reused once the call is answered.
      data.fill(0xee);
      reports.push(result.file);
      return [result.count, result.file.after === undefined ? undefined : note(result.file.after)];
    }
    case 'commit': {
      const result = await fs.commit(context, handleOf(operation.file));
      return result.file.after === undefined ? undefined : note(result.file.after);
    }
    case 'setSize':
      return setattr(handleOf(operation.file), { size: operation.size });
    case 'setMode': {
      const file = handleOf(operation.file);
      const guard =
        operation.guard === undefined
          ? undefined
          : (await fs.getattr(context, file)).ctimeNs + (operation.guard === 'right' ? 0n : 1n);
      return setattr(file, { mode: operation.mode }, guard);
    }
    case 'setTimes':
      return setattr(handleOf(operation.file), { mtimeNs: operation.mtimeNs, atimeNs: 1n });
    case 'mkdir': {
      const made = await fs.mkdir(context, handleOf(operation.dir), Buffer.from(operation.name), {
        mode: 0o755,
      });
      reports.push(made.parent);
      return took(made);
    }
    case 'symlink': {
      const target = Buffer.from(operation.target);
      const made = await fs.symlink(
        context,
        handleOf(operation.dir),
        Buffer.from(operation.name),
        target,
        {},
      );
      reports.push(made.parent);
      return took(made);
    }
    case 'remove':
    case 'rmdir':
      reports.push(await fs[operation.op](context, handleOf(operation.dir), Buffer.from(operation.name)));
      return 'gone';
    case 'rename': {
      const { from, to } = await fs.rename(
        context,
        handleOf(operation.dir),
        Buffer.from(operation.name),
        handleOf(operation.toDir),
        Buffer.from(operation.toName),
      );
      reports.push(from, to);
      return 'renamed';
    }
    case 'lookup':
      return took(await fs.lookup(context, handleOf(operation.dir), Buffer.from(operation.name)));
    case 'getattr':
      return note(await fs.getattr(context, handleOf(operation.file)));
    case 'readlink':
      return (await fs.readlink(context, handleOf(operation.file))).target.toString('utf8');
    case 'read': {
      const result = await fs.read(context, handleOf(operation.file), operation.offset, operation.count);
      const bytes = Buffer.concat(result.slices).toString('latin1');
      const { count, eof } = result;
      result.release();
      return [bytes, count, eof];
    }
    case 'list': {
      const names = await listNames(fs, context, handleOf(operation.dir), operation.pageEntries);
      return names.sort();
    }
  }
}

/** Names of a directory; fails on a name or a cookie that comes twice. */
export async function listNames(
  fs: FileSystem,
  context: Context,
  directory: Handle,
  pageEntries: number,
): Promise<string[]> {
  const names: string[] = [];
  const cookies = new Set<bigint>();
  for (let cookie = 0n; ;) {
    const page = await fs.readdir(context, directory, cookie, pageEntries);
    for (const entry of page.entries) {
      if (cookies.has(entry.cookie)) throw new Error(`cookie ${entry.cookie} came twice`);
      cookies.add(entry.cookie);
      names.push(entry.name.toString('utf8'));
      cookie = entry.cookie;
    }
    if (page.end) break;
    if (page.entries.length === 0) throw new Error('an empty page that is not the end');
  }
  if (new Set(names).size !== names.length) throw new Error(`a name came twice: ${names.join(' ')}`);
  return names;
}
