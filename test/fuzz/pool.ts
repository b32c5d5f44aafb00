/**
 * Handles, names and paths that mean something to the server under test, put into invented arguments, so that they get past the
 * handle check. Handles are learned from the server's own replies.
 */
import type { fattr3 } from '../../protocol/nfs3/types.js';
import type { Random } from './random.js';

type Type = fattr3['type'];

/** Fields of arguments that are file handles, and what they should be handles of. */
const HANDLE_FIELDS = new Map<string, Type | undefined>([
  ['object', undefined],
  ['fsroot', undefined],
  ['file', 'NF3REG'],
  ['dir', 'NF3DIR'],
  ['symlink', 'NF3LNK'],
]);
/** So many learned handles are kept; another takes the place of one of them. */
const LEARNED_MAX = 96;
/** Numbers in live calls stay below this: a byte at 2^40 would have the store hold a terabyte of zeros. */
const OFFSET_MAX = 256 * 1024;

const text = (...names: readonly string[]): Buffer[] => names.map((name) => Buffer.from(name));

/** Few, so that calls meet; and some that no file can have. */
const NAMES: readonly Buffer[] = [
  ...text('a', 'b', 'c', 'd', 'dir', 'dir2', 'file', 'link', 'é', 'a!', 'a.b', 'sub'),
  ...text('x'.repeat(255), '.', '..', '', 'a/b', 'nul\0', 'y'.repeat(256), 'z'.repeat(1024)),
  Buffer.from([0xff, 0xfe]),
  Buffer.from([0xed, 0xa0, 0x80]),
];

const PATHS: readonly Buffer[] = text(
  '/data',
  '/',
  '/data/dir',
  '/data/none',
  '/none',
  '',
  'data',
  '/data/file',
  '//data//dir/',
  '/data/../data',
);

/** A handle, and what it is of, as far as that is known. */
export interface KnownHandle {
  readonly handle: Buffer;
  readonly type: Type | undefined;
}

export class Pool {
  readonly #fixed: readonly KnownHandle[];
  readonly #learned: KnownHandle[] = [];

  /** `fixed`: the handles that are always there. */
  constructor(fixed: readonly KnownHandle[]) {
    this.#fixed = fixed;
  }

  /** Takes the handles that an answer tells. */
  learn(result: unknown, random: Random): void {
    for (const known of toldBy(result)) {
      if (this.#learned.length < LEARNED_MAX) this.#learned.push(known);
      else this.#learned[random.below(LEARNED_MAX)] = known;
    }
  }

  /** The same arguments with live handles, names and paths in most places, and numbers that a small bucket can bear. */
  enliven(args: unknown, random: Random): unknown {
    if (Buffer.isBuffer(args)) return random.oneIn(4) ? args : (random.pick(PATHS) ?? args);
    if (typeof args !== 'object' || args === null || Array.isArray(args)) return args;
    const entries = Object.entries(args).map(([key, value]: [string, unknown]): [string, unknown] => [
      key,
      this.#field(key, value, random),
    ]);
    const live = Object.fromEntries(entries);
    // A WRITE's count is that of its data, or the call ends there.
    if (Buffer.isBuffer(live['data']) && 'count' in live && !random.oneIn(8))
      live['count'] = live['data'].length;
    return live;
  }

  #field(key: string, value: unknown, random: Random): unknown {
    if (HANDLE_FIELDS.has(key) && Buffer.isBuffer(value)) {
      return random.oneIn(10) ? value : this.#handle(HANDLE_FIELDS.get(key), random);
    }
    if (key === 'name' && Buffer.isBuffer(value))
      return random.oneIn(6) ? value : (random.pick(NAMES) ?? value);
    if (key === 'size' || key === 'offset') return bounded(value, random);
    if (key === 'cookie' && !random.oneIn(3)) return 0n;
    if ((key === 'maxcount' || key === 'dircount') && !random.oneIn(3)) return 4096;
    if (key === 'count' && random.oneIn(2)) return 512 + random.below(8192);
    if (Buffer.isBuffer(value)) return value;
    return this.enliven(value, random);
  }

  #handle(type: Type | undefined, random: Random): Buffer {
    const known = random.oneIn(2) ? this.#learned : this.#fixed;
    const fitting =
      type === undefined || random.oneIn(4) ? known : known.filter((each) => each.type === type);
    const { handle } = random.pick(fitting) ?? random.pick(this.#fixed) ?? { handle: Buffer.alloc(0) };
    if (!random.oneIn(16) || handle.length === 0) return handle;
    const forged = Buffer.from(handle);
    const at = random.below(forged.length);
    forged.writeUInt8(forged.readUInt8(at) ^ (1 << random.below(8)), at);
    return forged;
  }
}

/** What LOOKUP, the procedures that make something, and READDIRPLUS tell of handles. */
interface Told {
  readonly obj?: unknown;
  readonly object?: unknown;
  readonly obj_attributes?: fattr3 | undefined;
  readonly reply?: {
    readonly entries: readonly {
      readonly name_handle?: unknown;
      readonly name_attributes?: fattr3 | undefined;
    }[];
  };
}

function toldBy(result: unknown): readonly KnownHandle[] {
  const { resok } = (result ?? {}) as { resok?: Told };
  if (resok === undefined) return [];
  const { obj, object, obj_attributes, reply } = resok;
  const entries = reply?.entries.map(({ name_handle, name_attributes }) => ({
    handle: name_handle,
    type: name_attributes?.type,
  }));
  return [{ handle: obj ?? object, type: obj_attributes?.type }, ...(entries ?? [])].flatMap(
    ({ handle, type }) => (Buffer.isBuffer(handle) ? [{ handle: Buffer.from(handle), type }] : []),
  );
}

function bounded(value: unknown, random: Random): unknown {
  if (typeof value !== 'bigint' || value <= BigInt(OFFSET_MAX)) return value;
  return value >= 1n << 52n && random.oneIn(4) ? value : value % BigInt(OFFSET_MAX);
}

/**
 * True unless carrying the call out could cost a store gigabytes of zeros: a size or an offset between what is cheap and what no file
 * can have.
 */
export function affordable(args: unknown): boolean {
  if (typeof args !== 'object' || args === null || Buffer.isBuffer(args)) return true;
  return Object.entries(args).every(([key, value]: [string, unknown]) => {
    if ((key === 'size' || key === 'offset') && typeof value === 'bigint') {
      return value <= BigInt(2 * OFFSET_MAX) || value >= 1n << 50n;
    }
    return affordable(value);
  });
}
