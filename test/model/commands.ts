/**
 * What NFS clients do, as data: every procedure of NFSv3 with its arguments, in plain JSON, so that a history can be made by fast-check,
 * made smaller, printed, kept in a file and played again. Files are named by slots: what an earlier command found.
 */
import fc from 'fast-check';
import type { stable_how } from '../../protocol/nfs3/types.js';

/** Index into the slots that are filled, modulo their number; 0 is where the model begins. FORGED: no handle of the server's. */
type Slot = number;
export const FORGED = 999;

/** Seconds and nanoseconds, or the server's clock. */
type Time = readonly [number, number] | 'now';

export interface Sets {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Time;
  readonly mtime?: Time;
}

/** How a call reaches the server: plainly, twice, or with the connection cut behind it and the same call again on a new one. */
export type Road = 'twice' | 'cut at once' | 'cut later';

interface Sent {
  /** Whose credential: an index into CALLERS. Root unless given. */
  readonly as?: number;
  readonly road?: Road;
}

export type Command = Sent &
  (
    | {
        readonly op: 'GETATTR' | 'READLINK' | 'COMMIT' | 'FSSTAT' | 'FSINFO' | 'PATHCONF';
        readonly file: Slot;
      }
    | { readonly op: 'SETATTR'; readonly file: Slot; readonly set: Sets; readonly guard?: 'right' | 'wrong' }
    | { readonly op: 'ACCESS'; readonly file: Slot; readonly access: number }
    | { readonly op: 'LOOKUP' | 'REMOVE' | 'RMDIR'; readonly dir: Slot; readonly name: string }
    | { readonly op: 'READ'; readonly file: Slot; readonly offset: number; readonly count: number }
    | {
        readonly op: 'WRITE';
        readonly file: Slot;
        readonly offset: number;
        readonly length: number;
        readonly stable: stable_how;
      }
    | {
        readonly op: 'CREATE';
        readonly dir: Slot;
        readonly name: string;
        readonly how: 'UNCHECKED' | 'GUARDED';
        readonly set: Sets;
      }
    | {
        readonly op: 'CREATE EXCLUSIVE';
        readonly dir: Slot;
        readonly name: string;
        readonly verifier: number;
      }
    | { readonly op: 'MKDIR'; readonly dir: Slot; readonly name: string; readonly set: Sets }
    | {
        readonly op: 'SYMLINK';
        readonly dir: Slot;
        readonly name: string;
        readonly target: string;
        readonly set: Sets;
      }
    | {
        readonly op: 'MKNOD';
        readonly dir: Slot;
        readonly name: string;
        readonly type: 'NF3FIFO' | 'NF3SOCK' | 'NF3REG';
      }
    | {
        readonly op: 'RENAME';
        readonly dir: Slot;
        readonly name: string;
        readonly toDir: Slot;
        readonly toName: string;
      }
    | { readonly op: 'LINK'; readonly file: Slot; readonly dir: Slot; readonly name: string }
    /** The whole directory, page by page, each of at most `count` bytes. */
    | { readonly op: 'READDIR' | 'READDIRPLUS'; readonly dir: Slot; readonly count: number }
    /** One page of a listing that was begun earlier, or the first of a new one: entries come and go in between. */
    | { readonly op: 'PAGE'; readonly dir: Slot; readonly count: number }
  );

/** Who calls: root, and two users of one group. */
export const CALLERS: readonly { readonly uid: number; readonly gid: number }[] = [
  { uid: 0, gid: 0 },
  { uid: 1000, gid: 100 },
  { uid: 1001, gid: 100 },
];

/** Bytes of a READDIR reply that hold any entry, and ones that hold none. */
const COUNTS = { some: 700, many: 65_536, none: 100 } as const;

const GOOD_NAMES = ['a', 'b', 'a.b', 'a!', 'é'];
const BAD_NAMES = ['', '.', '..', 'a/b', 'nul\0', 'x'.repeat(256), '\udc80'];

/** A name as the bytes that are sent: a lone surrogate stands for what is not UTF-8. */
export const nameBytes = (name: string): Buffer =>
  name === '\udc80' ? Buffer.from([0xff, 0x80]) : Buffer.from(name);

/** The bytes of a WRITE: its own, so that a mix of two is seen. */
export const writtenBytes = (step: number, length: number): Buffer =>
  Buffer.alloc(length, `${step.toString(36)};`);

export interface Shape {
  /** Also names and handles that are refused. */
  readonly bad: boolean;
  /** Also callers other than root. */
  readonly callers: boolean;
  /** Also calls that are repeated, and connections that are cut. */
  readonly roads: boolean;
  /** Also writes beyond the first parts of an upload. */
  readonly large: boolean;
  /** Also pages of listings that are open over other commands. */
  readonly pages: boolean;
}

/** What most histories begin with: two files, a directory and a link, in slots 1 to 4. */
export const PRELUDE: readonly Command[] = [
  { op: 'CREATE', dir: 0, name: 'a', how: 'GUARDED', set: { mode: 0o666 } },
  { op: 'CREATE', dir: 0, name: 'b', how: 'GUARDED', set: { mode: 0o600 } },
  { op: 'MKDIR', dir: 0, name: 'é', set: { mode: 0o777 } },
  { op: 'SYMLINK', dir: 0, name: 'a!', target: 'a', set: {} },
];

type Weighted = readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<unknown> }[];

/** Commands by their usual frequency. */
export function commands(shape: Shape): fc.Arbitrary<Command> {
  const name = shape.bad
    ? fc.oneof(
        { weight: 12, arbitrary: fc.constantFrom(...GOOD_NAMES) },
        { weight: 1, arbitrary: fc.constantFrom(...BAD_NAMES) },
      )
    : fc.constantFrom(...GOOD_NAMES);
  const anywhere = fc.nat({ max: 30 });
  // Most commands are on what the prelude made, so that they meet.
  const forged = shape.bad ? [{ weight: 1, arbitrary: fc.constant(FORGED) }] : [];
  const file = fc.oneof(
    { weight: 14, arbitrary: fc.constantFrom(1, 2) },
    { weight: 4, arbitrary: fc.nat({ max: 4 }) },
    { weight: 8, arbitrary: anywhere },
    ...forged,
  );
  const dir = fc.oneof(
    { weight: 10, arbitrary: fc.constant(0) },
    { weight: 8, arbitrary: fc.constant(3) },
    { weight: 7, arbitrary: anywhere },
    ...forged,
  );
  const mib = 1 << 20;
  const size = fc.oneof(
    { weight: 6, arbitrary: fc.nat({ max: 40 }) },
    { weight: 6, arbitrary: fc.nat({ max: 9000 }) },
    ...(shape.large
      ? [{ weight: 1, arbitrary: fc.constantFrom(5 * mib - 3, 5 * mib, 8 * mib, 8 * mib + 5, 17 * mib) }]
      : []),
  );
  const length = fc.oneof(
    { weight: 6, arbitrary: fc.nat({ max: 40 }) },
    { weight: 6, arbitrary: fc.nat({ max: 9000 }) },
  );
  const offset = shape.bad
    ? fc.oneof({ weight: 20, arbitrary: size }, { weight: 1, arbitrary: fc.constant(2 ** 52) })
    : size;
  const time = fc.oneof(
    fc.constant('now' as const),
    fc.tuple(fc.nat({ max: 0xffff_ffff }), fc.nat({ max: 999_999_999 })),
  );
  const sets = (...keys: (keyof Sets)[]): fc.Arbitrary<Sets> => {
    const all = {
      mode: fc.oneof(fc.constantFrom(0o644, 0o755, 0o600, 0o777, 0o1777), fc.nat({ max: 0o7777 })),
      uid: fc.constantFrom(0, 1000, 1001),
      gid: fc.constantFrom(0, 100, 101),
      size: offset,
      atime: time,
      mtime: time,
    };
    const chosen = Object.fromEntries(keys.map((key) => [key, all[key]]));
    return fc.record(chosen, { requiredKeys: [], noNullPrototype: true });
  };
  const stable = fc.constantFrom<stable_how[]>('UNSTABLE', 'UNSTABLE', 'DATA_SYNC', 'FILE_SYNC');
  const count = fc.constantFrom(COUNTS.some, COUNTS.some, COUNTS.many, ...(shape.bad ? [COUNTS.none] : []));
  const target = fc.constantFrom('a', '../a/b', 'nowhere/é');
  const of = <O extends string>(...ops: O[]) => fc.constantFrom(...ops);
  const record = (
    model: Record<string, fc.Arbitrary<unknown>>,
    optional: readonly string[] = [],
  ): fc.Arbitrary<unknown> =>
    fc.record(model, {
      requiredKeys: Object.keys(model).filter((key) => !optional.includes(key)),
      noNullPrototype: true,
    });
  const kinds: Weighted = [
    {
      weight: 8,
      arbitrary: record({
        op: of('CREATE'),
        dir,
        name,
        how: of('UNCHECKED', 'GUARDED'),
        set: sets('mode', 'size', 'mtime'),
      }),
    },
    { weight: 2, arbitrary: record({ op: of('CREATE EXCLUSIVE'), dir, name, verifier: fc.nat({ max: 1 }) }) },
    { weight: 12, arbitrary: record({ op: of('WRITE'), file, offset, length, stable }) },
    { weight: 6, arbitrary: record({ op: of('COMMIT'), file }) },
    {
      weight: 7,
      arbitrary: record(
        {
          op: of('SETATTR'),
          file,
          set: sets('mode', 'uid', 'gid', 'size', 'atime', 'mtime'),
          guard: of('right', 'wrong'),
        },
        ['guard'],
      ),
    },
    { weight: 7, arbitrary: record({ op: of('MKDIR'), dir, name, set: sets('mode') }) },
    { weight: 3, arbitrary: record({ op: of('SYMLINK'), dir, name, target, set: sets('mode') }) },
    {
      weight: 1,
      arbitrary: record({ op: of('MKNOD'), dir, name, type: of('NF3FIFO', 'NF3SOCK', 'NF3REG') }),
    },
    { weight: 1, arbitrary: record({ op: of('LINK'), file, dir, name }) },
    { weight: 6, arbitrary: record({ op: of('REMOVE', 'RMDIR'), dir, name }) },
    { weight: 10, arbitrary: record({ op: of('RENAME'), dir, name, toDir: dir, toName: name }) },
    { weight: 5, arbitrary: record({ op: of('LOOKUP'), dir, name }) },
    { weight: 8, arbitrary: record({ op: of('READ'), file, offset, count: fc.nat({ max: 10_000 }) }) },
    {
      weight: 6,
      arbitrary: record({ op: of('GETATTR', 'GETATTR', 'READLINK', 'FSSTAT', 'FSINFO', 'PATHCONF'), file }),
    },
    { weight: 2, arbitrary: record({ op: of('ACCESS'), file, access: fc.nat({ max: 0x7f }) }) },
    { weight: 4, arbitrary: record({ op: of('READDIR', 'READDIRPLUS'), dir, count }) },
    ...(shape.pages
      ? [{ weight: 5, arbitrary: record({ op: of('PAGE'), dir, count: fc.constant(420) }) }]
      : []),
  ];
  const sent = record({ as: fc.constantFrom(1, 2), road: of('twice', 'cut at once', 'cut later') }, [
    'as',
    'road',
  ]) as fc.Arbitrary<Sent>;
  const rarely = fc.oneof({ weight: 4, arbitrary: fc.constant<Sent>({}) }, { weight: 1, arbitrary: sent });
  return fc.tuple(fc.oneof(...kinds), rarely).map(([command, { as, road }]) => ({
    ...(command as Command),
    ...(shape.callers && as !== undefined && { as }),
    ...(shape.roads && road !== undefined && { road }),
  }));
}
