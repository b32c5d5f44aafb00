/** One client: what it does with the names and the files of a directory of its own, one call after the other. */
import { setTimeout as delay } from 'node:timers/promises';
import type { nfsstat3, stable_how } from '../../protocol/nfs3/types.js';
import { NfsStatusError, statusOf, type NfsClient } from '../support/nfs-client.js';
import type { Dice } from './dice.js';
import { FileCalls } from './file-calls.js';
import type { NameChange } from './tree.js';
import { UnderWay } from './under-way.js';
import type { World, WorldNode } from './world.js';

const KIB = 1024;
const MODES = [0o600, 0o640, 0o644, 0o755, 0o711];
const STABILITIES: readonly stable_how[] = ['UNSTABLE', 'UNSTABLE', 'DATA_SYNC', 'FILE_SYNC'];
/** Files of the names' steps stay below one part. */
const SMALL_BYTES_MAX = 300 * KIB;
/** What a call is answered with that had its effect before. CREATE rests on the journal, and knows. */
const REPEATED: Readonly<Record<string, nfsstat3>> = {
  MKDIR: 'NFS3ERR_EXIST',
  SYMLINK: 'NFS3ERR_EXIST',
  REMOVE: 'NFS3ERR_NOENT',
  RMDIR: 'NFS3ERR_NOENT',
  RENAME: 'NFS3ERR_NOENT',
};
/** How many a lane makes of each. */
const FILES_MAX = 14;
const DIRECTORIES_MAX = 5;

export interface LaneParts {
  readonly world: World;
  readonly nfs: NfsClient;
  readonly dice: Dice;
  readonly index: number;
  /** The directory of the lane. */
  readonly home: number;
  /** A file that all lanes write to, each in its own range. */
  readonly shared: number;
  /** Names that are made differ from life to life. */
  readonly life: number;
}

/** Bytes of the shared file that each lane has. */
export const SHARED_BYTES = 64 * KIB;

export class Lane {
  readonly world: World;
  readonly nfs: NfsClient;
  readonly calls: FileCalls;
  readonly home: number;
  readonly index: number;
  readonly #dice: Dice;
  readonly #shared: number;
  /** Files that a stream writes to: they may be renamed, nothing else. */
  readonly streamed = new Set<number>();
  readonly #life: number;
  #names = 0;

  constructor({ world, nfs, dice, index, home, shared, life }: LaneParts) {
    this.#life = life;
    this.world = world;
    this.nfs = nfs;
    this.#dice = dice;
    this.index = index;
    this.home = home;
    this.#shared = shared;
    this.calls = new FileCalls(world, nfs, index, life);
  }

  /** Rejects when the daemon is gone. */
  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#step();
  }

  /** Makes a file by a call of `thread`. */
  async create(
    thread: string,
    dir: number,
    name: string,
    dice: Dice,
    options: { readonly streamed?: boolean } = {},
  ): Promise<WorldNode> {
    const { world, nfs } = this;
    const how = dice.pick(['UNCHECKED', 'GUARDED', 'EXCLUSIVE'] as const);
    const mode = dice.pick(MODES);
    const attributes = { mode: how === 'EXCLUSIVE' ? 0o644 : mode, uid: 0, gid: 0 };
    const node = world.node('file', { attributes });
    // Before others know of it.
    if (options.streamed === true) this.streamed.add(node.id);
    await this.#make(thread, node, dir, name, `CREATE ${how}`, (parent) =>
      how === 'EXCLUSIVE'
        ? nfs.createExclusive(parent, name, Buffer.from(String(node.id).padStart(8, '0')))
        : nfs.create(parent, name, { mode }, how),
    );
    // As Linux does.
    if (how === 'EXCLUSIVE') await this.calls.setattr(node, { mode });
    return node;
  }

  async #step(): Promise<void> {
    const files = this.#files();
    const free = files.filter((node) => !this.streamed.has(node.id));
    const dirs = this.#directories();
    const steps: [number, () => Promise<void>][] = [
      [4, () => this.#writeNew()],
      [1, () => this.#save(free)],
      [1, () => this.#shareWrite()],
      [dirs.length < DIRECTORIES_MAX ? 2 : 0, () => this.#mkdir()],
      [1, () => this.#symlink()],
      [1, () => delay(this.#dice.scale(5, 1500)).then(() => undefined)],
      [dirs.length > 1 ? 2 : 0, () => this.#renameDirectory(dirs)],
      [dirs.length > 1 ? 1 : 0, () => this.#rmdir(dirs)],
      [files.length > 0 ? 3 : 0, () => this.#renameFile(files)],
      [files.length > 0 ? 2 : 0, () => this.#chmod(files)],
    ];
    if (free.length > 0)
      steps.push(
        [6, () => this.#overwrite(this.#dice.pick(free))],
        [4, () => this.#append(this.#dice.pick(free))],
        [3, () => this.calls.commit(this.#dice.pick(free))],
        [3, () => this.#resize(this.#dice.pick(free))],
        [free.length > FILES_MAX ? 8 : 2, () => this.#remove(this.#dice.pick(free))],
        [2, () => this.calls.read(this.#dice.pick(free))],
        [1, () => this.#utimes(this.#dice.pick(free))],
      );
    await this.#dice.weighted(steps)();
  }

  async #writeNew(): Promise<void> {
    const dice = this.#dice;
    const node = await this.create(this.#thread, this.#somewhere(), this.#newName('f'), dice);
    const length = dice.scale(1, 200 * KIB);
    switch (dice.pick(['empty', 'sync', 'sync', 'commit', 'commit', 'commit', 'unstable'])) {
      case 'empty':
        return;
      case 'sync':
        return this.calls.write(node, 0, length, 'FILE_SYNC');
      case 'commit':
        await this.#burst(node, 0, length);
        return this.calls.commit(node);
      default:
        return this.#burst(node, 0, length);
    }
  }

  /** As editors save: a new file, synced, renamed over the old one. */
  async #save(free: readonly WorldNode[]): Promise<void> {
    const dice = this.#dice;
    const old = free.length === 0 ? undefined : dice.pick(free);
    const dir = old === undefined ? this.home : (this.world.tree.place(old.id)?.dir ?? this.home);
    const name = this.#newName('tmp');
    const node = await this.create(this.#thread, dir, name, dice);
    await this.#burst(node, 0, dice.scale(1, 100 * KIB));
    if (dice.chance(0.7)) await this.calls.commit(node);
    if (old !== undefined) await this.#rename(node, dir, this.world.tree.place(old.id)?.name ?? name);
  }

  async #overwrite(node: WorldNode): Promise<void> {
    const dice = this.#dice;
    const { size } = node.history;
    for (let count = dice.between(1, 4); count > 0; count--) {
      const start = dice.between(0, size);
      const length = dice.scale(1, 40 * KIB);
      await this.calls.write(node, start, length, dice.pick(STABILITIES));
    }
    if (dice.chance(0.4)) await this.calls.commit(node);
  }

  /** As a log: each piece is synced, by whichever way. */
  async #append(node: WorldNode): Promise<void> {
    const dice = this.#dice;
    for (let count = dice.between(1, 5); count > 0; count--) {
      const stable = dice.pick(STABILITIES);
      await this.calls.write(node, node.history.size, dice.scale(20, 20 * KIB), stable);
      if (stable === 'UNSTABLE') await this.calls.commit(node);
    }
  }

  /** WRITEs that are under way together. */
  async #burst(node: WorldNode, start: number, length: number): Promise<void> {
    const piece = Math.max(1, Math.ceil(length / this.#dice.between(1, 4)));
    const writes = new UnderWay();
    for (let at = 0; at < length; at += piece)
      writes.add(this.calls.write(node, start + at, Math.min(piece, length - at), 'UNSTABLE'));
    await writes.ended();
  }

  async #shareWrite(): Promise<void> {
    const dice = this.#dice;
    const node = this.world.get(this.#shared);
    const length = dice.scale(1, SHARED_BYTES / 4);
    const start = this.index * SHARED_BYTES + dice.between(0, SHARED_BYTES - length);
    await this.calls.write(node, start, length, dice.pick(STABILITIES));
    if (dice.chance(0.5)) await this.calls.commit(node);
  }

  async #resize(node: WorldNode): Promise<void> {
    const dice = this.#dice;
    const { size } = node.history;
    const most = Math.max(SMALL_BYTES_MAX, size);
    await this.calls.truncate(node, dice.chance(0.6) ? dice.between(0, size) : dice.between(size, most));
    if (dice.chance(0.3)) await this.calls.commit(node);
  }

  async #chmod(files: readonly WorldNode[]): Promise<void> {
    const dice = this.#dice;
    const node = dice.chance(0.2) ? this.world.get(dice.pick(this.#directories())) : dice.pick(files);
    if (node.id === this.home) return;
    await this.calls.setattr(node, {
      mode: dice.pick(MODES),
      ...(dice.chance(0.3) && { uid: dice.between(0, 2000), gid: dice.between(0, 2000) }),
    });
  }

  async #utimes(node: WorldNode): Promise<void> {
    const mtime = {
      seconds: this.#dice.between(1, 2_000_000_000),
      nseconds: this.#dice.between(0, 999_999_999),
    };
    await this.calls.setattr(node, { mtime });
  }

  async #mkdir(): Promise<void> {
    const dir = this.#somewhere();
    const name = this.#newName('d');
    const mode = this.#dice.pick([0o755, 0o700, 0o777]);
    const node = this.world.node('directory', { attributes: { mode, uid: 0, gid: 0 } });
    await this.#make(this.#thread, node, dir, name, 'MKDIR', (parent) =>
      this.nfs.mkdir(parent, name, { mode }),
    );
  }

  async #symlink(): Promise<void> {
    const dir = this.#somewhere();
    const name = this.#newName('l');
    const target = `../${'x'.repeat(this.#dice.between(1, 40))}`;
    const node = this.world.node('symlink', { target, attributes: { mode: 0o777, uid: 0, gid: 0 } });
    await this.#make(this.#thread, node, dir, name, 'SYMLINK', (parent) =>
      this.nfs.symlink(parent, name, target),
    );
  }

  async #remove(node: WorldNode): Promise<void> {
    const { world } = this;
    const place = world.tree.place(node.id);
    if (place === undefined) return;
    const change: NameChange = { change: 'remove', ...place, node: node.id };
    await world.rename(
      this.#thread,
      change,
      `lane ${this.index}: REMOVE ${world.tree.path(node.id)} (${node.id})`,
      () => this.#repeated(change, this.nfs.remove(world.handle(place.dir), place.name)),
    );
  }

  async #rmdir(dirs: readonly number[]): Promise<void> {
    const { world } = this;
    const dir = dirs.find((each) => each !== this.home && world.tree.isEmpty(each));
    const place = dir === undefined ? undefined : world.tree.place(dir);
    if (dir === undefined || place === undefined) return;
    const change: NameChange = { change: 'remove', ...place, node: dir };
    await world.rename(
      this.#thread,
      change,
      `lane ${this.index}: RMDIR ${world.tree.path(dir)} (${dir})`,
      () => this.#repeated(change, this.nfs.rmdir(world.handle(place.dir), place.name)),
    );
  }

  /** To a free name, or over a file that nobody writes to. */
  async #renameFile(files: readonly WorldNode[]): Promise<void> {
    const dice = this.#dice;
    const node = dice.pick(files);
    const target = dice.pick(files);
    const place = this.world.tree.place(target.id);
    if (dice.chance(0.4) && place !== undefined && !this.streamed.has(target.id) && target !== node)
      return this.#rename(node, place.dir, place.name);
    return this.#rename(node, this.#somewhere(), this.#newName('r'));
  }

  async #renameDirectory(dirs: readonly number[]): Promise<void> {
    const dice = this.#dice;
    const { tree } = this.world;
    const dir = dice.pick(dirs.filter((each) => each !== this.home));
    const outside = dirs.filter((each) => !tree.isAbove(dir, each));
    const empty = outside.find(
      (each) => each !== this.home && tree.isEmpty(each) && each !== tree.place(dir)?.dir,
    );
    const place = empty === undefined ? undefined : tree.place(empty);
    if (place !== undefined && !tree.isAbove(dir, place.dir) && dice.chance(0.3))
      return this.#rename(this.world.get(dir), place.dir, place.name);
    return this.#rename(this.world.get(dir), dice.pick(outside), this.#newName('m'));
  }

  async #rename(node: WorldNode, toDir: number, toName: string): Promise<void> {
    const { world, nfs } = this;
    const place = world.tree.place(node.id);
    if (place === undefined) return;
    const { dir, name } = place;
    const change: NameChange = { change: 'rename', dir, name, toDir, toName, node: node.id };
    const text = `lane ${this.index}: RENAME ${world.tree.path(node.id)} (${node.id}) to ${world.tree.path(toDir)}/${toName}`;
    await world.rename(this.#thread, change, text, () =>
      this.#repeated(change, nfs.rename(world.handle(dir), name, world.handle(toDir), toName)),
    );
  }

  async #make(
    thread: string,
    node: WorldNode,
    dir: number,
    name: string,
    what: string,
    send: (parent: Buffer) => ReturnType<NfsClient['create']>,
  ): Promise<void> {
    const { world } = this;
    const change: NameChange = { change: 'make', dir, name, node: node.id };
    const text = `lane ${this.index}: ${what} ${world.tree.path(dir)}/${name} (${node.id})`;
    await world.rename(thread, change, text, async () => {
      const made = await this.#repeated(change, send(world.handle(dir)));
      const handle = made?.handle ?? (await this.nfs.lookup(world.handle(dir), name)).handle;
      node.handle = handle;
      node.fileid = (made?.attributes ?? (await this.nfs.getattr(handle))).fileid;
    });
  }

  /**
   * Undefined where a try of a call was answered with JUKEBOX, since the store died over it, and the next one told that it had had its effect
   * (RFC 1813 4.5): the name that was to be made is there, or the one that was to go is not. What else is to be so is judged with the tree.
   */
  async #repeated<T>(change: NameChange, call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (error) {
      if (!(error instanceof NfsStatusError) || !error.isRepeated) throw error;
      if (REPEATED[error.procedure] !== error.status) throw error;
      const found = await statusOf(this.nfs.lookup(this.world.handle(change.dir), change.name));
      if (found !== (change.change === 'make' ? 'NFS3_OK' : 'NFS3ERR_NOENT')) throw error;
      return undefined;
    }
  }

  get #thread(): string {
    return `${this.index}`;
  }

  #newName(prefix: string): string {
    return `${prefix}${this.#life}-${this.#names++}`;
  }

  #somewhere(): number {
    return this.#dice.pick(this.#directories());
  }

  /** The lane's own, home among them. */
  #directories(): number[] {
    return this.#below().filter((id) => this.world.get(id).kind === 'directory');
  }

  #files(): WorldNode[] {
    return this.#below()
      .map((id) => this.world.get(id))
      .filter(({ kind }) => kind === 'file');
  }

  #below(): number[] {
    const { tree, nodes } = this.world;
    return [...nodes.keys()].filter((id) => tree.has(id) && tree.isAbove(this.home, id));
  }
}
