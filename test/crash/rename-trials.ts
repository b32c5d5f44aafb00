/**
 * Renames of a directory, each with a kill -9 of the daemon at a moment that the seed names, somewhere from its first request to the store to its
 * last; now and then the start that finishes the rename is killed as well. One tree goes from name to name. After each trial it is whole, under one
 * name: by the bucket as another S3 user lists it, by handles from before, and by a walk through the mount.
 */
import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import type { Ends } from '../end-to-end/fixture.js';
import { NfsClient, NfsStatusError } from '../support/nfs-client.js';
import type { BucketView } from './bucket-view.js';
import { Dice } from './dice.js';
import type { Kill } from './plan.js';
import { Rig } from './rig.js';
import { Trigger } from './trigger.js';

const EXPORT = '/data';
const RETRY_MS = 50;
const PUTS_AT_A_TIME = 16;
/** Of S3's DeleteObjects and ListObjectsV2. */
const KEYS_A_REQUEST = 1000;
const FILES_A_DIRECTORY = 100;
/** Uploaded in two parts, of which a copy has another ETag: one in so many. */
const PARTS_EVERY = 100;
const PART_BYTES = 5 * 1024 * 1024;
/** Made through the mount before each rename, and not published when it comes. */
const NEW_FILES = 5;
const HANDLES = 20;
/** How long files that weren't published may take to be in the bucket after a start. */
const PUBLISHED_WITHIN_MS = 60_000;

export interface RenameTrialsOptions {
  readonly seed: number;
  readonly trials: number;
  readonly objects: number;
  /** No trial is begun after so long. */
  readonly minutes?: number;
  /** A line of each trial. */
  readonly onEnd?: (line: string) => void;
}

export interface RenameTrialsReport {
  readonly firstSeed: number;
  readonly trials: number;
  readonly objects: number;
  /** Kills of the daemon in a rename, and in a start that finished one. */
  readonly kills: number;
  readonly killsAtStart: number;
  /** Renames that were carried out; the others left the tree where it was. */
  readonly moved: number;
  readonly lost: number;
  readonly doubled: number;
  readonly wrong: number;
  readonly other: number;
  readonly seconds: number;
  readonly findings: readonly string[];
}

export async function runRenameTrials(ends: Ends, options: RenameTrialsOptions): Promise<RenameTrialsReport> {
  const args = ['--commit-policy', 'journal', '--journal-rest', '10m', '--uid', '0', '--gid', '0'];
  const rig = await Rig.start(args);
  ends.teardown(() => rig.close());
  try {
    return await new RenameTrials(rig, options).run();
  } finally {
    await rig.close();
  }
}

class RenameTrials {
  readonly #rig: Rig;
  readonly #options: RenameTrialsOptions;
  readonly #trigger: Trigger;
  /** MD5 of each file's bytes, by its path below the tree. */
  readonly #files = new Map<string, string>();
  /** ETags that are no MD5 are looked behind once. */
  readonly #inParts = new Set<string>();
  readonly #findings: string[] = [];
  readonly #sum = { trials: 0, kills: 0, killsAtStart: 0, moved: 0, lost: 0, doubled: 0, wrong: 0, other: 0 };
  #handles: readonly (readonly [path: string, handle: Buffer])[] = [];
  #tree = 'tree0';

  constructor(rig: Rig, options: RenameTrialsOptions) {
    this.#rig = rig;
    this.#options = options;
    this.#trigger = new Trigger(rig, () => undefined);
  }

  async run(): Promise<RenameTrialsReport> {
    const { seed: firstSeed, trials, objects, minutes = Infinity } = this.#options;
    const begunMs = performance.now();
    const bucket = this.#rig.bucket();
    try {
      await this.#seed(bucket);
      await this.#rig.startDaemon();
      while (
        this.#sum.trials < trials &&
        this.#findings.length === 0 &&
        performance.now() - begunMs < minutes * 60_000
      )
        await this.#trial(bucket, firstSeed + this.#sum.trials++);
      await this.#rig.drain();
    } finally {
      bucket.close();
    }
    for (const defect of this.#rig.defects) this.#found('other', defect);
    const seconds = Math.round((performance.now() - begunMs) / 1000);
    return { firstSeed, objects, ...this.#sum, seconds, findings: this.#findings };
  }

  async #seed(bucket: BucketView): Promise<void> {
    const limit = pLimit(PUTS_AT_A_TIME);
    const puts = Array.from({ length: this.#options.objects }, async (_, at) => {
      const path = `${Math.floor(at / FILES_A_DIRECTORY)}/${at}`;
      const isInParts = at % PARTS_EVERY === PARTS_EVERY - 1;
      const bytes = isInParts
        ? Buffer.alloc(PART_BYTES + 100, `${at} `)
        : Buffer.from(`the bytes of ${at}\n`);
      this.#files.set(path, md5(bytes));
      const key = `${this.#tree}/${path}`;
      if (!isInParts) return await limit(() => bucket.put(key, bytes, {}, 'text/plain'));
      this.#inParts.add(path);
      return await limit(() => bucket.putInParts(key, bytes, PART_BYTES));
    });
    await Promise.all(puts);
  }

  async #trial(bucket: BucketView, seed: number): Promise<void> {
    const dice = new Dice(seed, 0);
    const begunMs = performance.now();
    const [from, to] = [this.#tree, `tree${this.#sum.trials}`];
    const before = await this.#connect();
    const root = await before.mnt(EXPORT);
    await this.#makeFiles(before, await before.lookup(root, from).then(({ handle }) => handle));
    this.#handles = await this.#someHandles(before, root, dice);
    const kill = this.#drawn(dice);
    const from0 = this.#rig.relay.requests;
    this.#trigger.arm(kill);
    const answered = await Promise.race([
      before.rename(root, from, root, to).then(
        () => true,
        () => false,
      ),
      this.#whenKilled(),
    ]);
    this.#trigger.pull();
    await this.#trigger.done();
    await before.close();
    await this.#rig.relay.quiet();
    this.#sum.kills++;
    const requests = this.#rig.relay.requests - from0;
    const again = await this.#start(dice);
    const after = await this.#connect();
    await this.#judge(bucket, after, { from, to, answered });
    await after.close();
    const seconds = ((performance.now() - begunMs) / 1000).toFixed(1);
    const line = `${seed}: killed at ${kill.at} ${kill.count} (${requests} requests), ${again} times while it started; at ${this.#tree}; ${seconds} s`;
    this.#options.onEnd?.(line);
  }

  /** Anywhere; or among the first requests; or where copies end and sources go. */
  #drawn(dice: Dice): Kill {
    const pages = Math.ceil(this.#files.size / KEYS_A_REQUEST);
    const copied = 2 * this.#files.size + pages;
    const [low, high] = dice.weighted([
      [6, [1, copied + pages + 4]],
      [1, [1, 40]],
      [3, [copied - 20, copied + 2 * pages + 8]],
    ] as const);
    return { at: dice.pick(['request', 'answer']), count: dice.between(low, high), who: ['daemon'] };
  }

  async #whenKilled(): Promise<boolean> {
    while (!this.#trigger.hasKilled('daemon')) await new Promise((resolve) => setTimeout(resolve, 5));
    return false;
  }

  /** How often the start was killed. */
  async #start(dice: Dice): Promise<number> {
    let killed = 0;
    while (dice.chance(0.3)) {
      this.#trigger.arm({ at: 'request', count: dice.scale(1, 2 * this.#files.size), who: ['daemon'] });
      const served = await this.#rig.startDaemon().then(
        () => true,
        (error: unknown) => {
          if (this.#trigger.hasKilled('daemon')) return false;
          throw error;
        },
      );
      this.#trigger.disarm();
      if (served && !this.#trigger.hasKilled('daemon')) return killed;
      await this.#trigger.done();
      await this.#rig.relay.quiet();
      killed++;
      this.#sum.killsAtStart++;
    }
    await this.#rig.startDaemon();
    return killed;
  }

  async #makeFiles(nfs: NfsClient, directory: Buffer): Promise<void> {
    for (let at = 0; at < NEW_FILES; at++) {
      const name = `new-${this.#sum.trials}-${at}`;
      const bytes = Buffer.from(`the bytes of ${name}\n`);
      await nfs.writeFile((await nfs.create(directory, name)).handle, bytes);
      this.#files.set(name, md5(bytes));
    }
  }

  async #someHandles(nfs: NfsClient, root: Buffer, dice: Dice): Promise<[string, Buffer][]> {
    const paths = [...this.#files.keys()];
    const handles: [string, Buffer][] = [];
    for (let at = 0; at < HANDLES; at++) {
      const path = dice.chance(0.25) ? (paths.at(-1) ?? '') : dice.pick(paths);
      handles.push([path, await nfs.lookupPath(root, `${this.#tree}/${path}`)]);
    }
    return handles;
  }

  async #judge(
    bucket: BucketView,
    nfs: NfsClient,
    rename: { readonly from: string; readonly to: string; readonly answered: boolean },
  ): Promise<void> {
    const { from, to, answered } = rename;
    const root = await nfs.mnt(EXPORT);
    const names = new Set((await nfs.readdir(root)).map(({ name }) => name.toString()));
    const isMoved = names.has(to);
    if (isMoved === names.has(from)) this.#found('other', `the root has ${[...names].join(' ')}`);
    if (answered && !isMoved) this.#found('other', `a RENAME to ${to} was answered and is undone`);
    this.#tree = isMoved ? to : from;
    if (isMoved) this.#sum.moved++;
    for (const [path, handle] of this.#handles) {
      const bytes = await nfs.readFile(handle).catch(notThere);
      if (bytes === undefined) this.#found('lost', `${path}, by its handle`);
      else if (md5(bytes) !== this.#files.get(path)) this.#found('wrong', `bytes of ${path}, by its handle`);
      const byPath = await nfs.lookupPath(root, `${this.#tree}/${path}`).catch(notThere);
      if (byPath?.equals(handle) !== true) this.#found('other', `${path} has another handle`);
    }
    await this.#judgeBucket(bucket, [from, to]);
  }

  async #judgeBucket(bucket: BucketView, trees: readonly [string, string]): Promise<void> {
    const deadlineMs = performance.now() + PUBLISHED_WITHIN_MS;
    const prefix = `${this.#tree}/`;
    let keys = await bucket.list();
    const isMissing = (path: string): boolean => !keys.has(prefix + path);
    while ([...this.#files.keys()].some(isMissing) && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      keys = await bucket.list();
    }
    for (const [path, hash] of this.#files) {
      const etag = keys.get(prefix + path);
      const others = trees.filter((tree) => tree !== this.#tree && keys.has(`${tree}/${path}`));
      if (others.length > 0)
        this.#found('doubled', `${path} is in ${others.join()} as well as in ${this.#tree}`);
      if (etag === undefined) this.#found('lost', `${path} is not in the bucket`);
      else if (etag !== `"${hash}"` && !(await this.#hasBytes(bucket, path, hash)))
        this.#found('wrong', `bytes of ${path} in the bucket`);
    }
    const files = [...keys.keys()].filter((key) => !key.endsWith('/'));
    if (files.length !== this.#files.size)
      this.#found('other', `${files.length} objects instead of ${this.#files.size}`);
  }

  async #hasBytes(bucket: BucketView, path: string, hash: string): Promise<boolean> {
    if (!this.#inParts.has(path)) return false;
    return md5((await bucket.get(`${this.#tree}/${path}`)).body) === hash;
  }

  #found(kind: 'lost' | 'doubled' | 'wrong' | 'other', what: string): void {
    this.#sum[kind]++;
    if (this.#findings.length < 20) this.#findings.push(`${kind}: ${what}`);
  }

  async #connect(): Promise<NfsClient> {
    return await NfsClient.connect({ ...this.#rig.address, jukeboxRetryMs: RETRY_MS });
  }
}

function notThere(error: unknown): undefined {
  if (
    error instanceof NfsStatusError &&
    (error.status === 'NFS3ERR_NOENT' || error.status === 'NFS3ERR_STALE')
  )
    return undefined;
  throw error;
}

const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');
