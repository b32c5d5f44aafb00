/**
 * What a crash left unfinished, from the journal.
 *
 *   start -> renames, one after the other -> files, some at a time -----------> uploads that nothing rests on are aborted
 *                                         -> served, at the latest after 5 s
 *
 * A file that is not looked at yet keeps its key to itself: whoever wants something of it waits, and is told to come back after a while.
 * All others are served. What fails is tried again; the journal keeps it until it is done, over any number of starts.
 */
import pLimit from 'p-limit';
import { StoreError, type StoreErrorKind } from '../store/errors.js';
import type { Intent } from './intent-log.js';
import { abortOrphans } from './janitor.js';
import { writtenRef } from './journaling.js';
import type { FileNode } from './node.js';
import { placeFiles } from './placed-files.js';
import { fileAt, recoverFile, showBefore, type FileIntent } from './recovered-files.js';
import type { Volume } from './volume.js';
import type { VolumeOperations } from './volume-operations.js';

/** Files at a time: each asks the store twice and waits; the spool is read by as many. */
const FILES_AT_A_TIME = 16;
/** A file whose recovery fails is tried again after this. */
const RETRY_MS = 10_000;

/** The store may answer the same question differently in a while. */
const PASSING: ReadonlySet<StoreErrorKind> = new Set(['throttled', 'unavailable', 'credentials', 'aborted']);

/** In the order in which they are carried out: bytes carry all there is to say of their file. */
const FILE_ORDER: Readonly<Record<FileIntent['kind'], number>> = { written: 0, create: 1, change: 1 };

interface PendingFile {
  readonly node: FileNode;
  readonly key: string;
  readonly refs: string[];
}

export class Recovery {
  readonly #operations: VolumeOperations;
  readonly #limit = pLimit(FILES_AT_A_TIME);
  readonly #pending = new Set<PendingFile>();
  readonly #wakers = new Set<() => void>();
  #stopped = false;
  /** Resolves when nothing is left to do, or `stop` was called. Never rejects. */
  readonly done: Promise<void>;

  private constructor(operations: VolumeOperations) {
    this.#operations = operations;
    this.done = this.#run();
  }

  /**
   * Finishes renames and removals, then lets the rest go on by itself: the volume may be served. Fails when the store doesn't answer: then nothing is known
   * of where files are. The journal stays as it is.
   */
  static async begin(operations: VolumeOperations): Promise<Recovery> {
    await finishNames(operations);
    await placeFiles(operations.volume);
    return new Recovery(operations);
  }

  /** Files that are not recovered. */
  get left(): number {
    return this.#pending.size;
  }

  /** Begins nothing more. Resolves when what is under way has ended; what is left is the next start's. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const wake of this.#wakers) wake();
    await this.done;
  }

  async #run(): Promise<void> {
    const { volume } = this.#operations;
    for (const file of this.#files()) this.#pending.add(file);
    // All of their keys at once, before anybody else can have one.
    await Promise.all([...this.#pending].map((file) => this.#hold(file)));
    if (this.#stopped) return;
    await abortOrphans(volume);
  }

  /** One for each key. */
  #files(): Iterable<PendingFile> {
    const { volume } = this.#operations;
    const files = new Map<string, PendingFile>();
    const mine = [...volume.intents.live()].flatMap(([ref, intent]) =>
      intent.volume === volume.name && isOfFile(intent) ? [{ ref, intent }] : [],
    );
    mine.sort((a, b) => FILE_ORDER[a.intent.kind] - FILE_ORDER[b.intent.kind]);
    for (const { ref, intent } of mine) {
      if (!volume.intents.live().has(ref)) continue;
      // What was said of the file beside its bytes is in their intent, and newer there: also its name.
      if (intent.kind === 'written') for (const other of besides(ref)) volume.intents.end(other);
      const { node } = fileAt(volume, intent.path);
      const key = volume.keyOf(node);
      const known = files.get(key);
      if (known === undefined) {
        files.set(key, { node, key, refs: [ref] });
        showBefore(volume, ref, intent);
      } else known.refs.push(ref);
    }
    return files.values();
  }

  async #hold(file: PendingFile): Promise<void> {
    const { volume } = this.#operations;
    const { node, key } = file;
    let opened = (): void => undefined;
    node.recovering = new Promise((resolve) => {
      opened = () => {
        node.recovering = undefined;
        volume.nodes.trackBusy(node);
        resolve();
      };
    });
    volume.nodes.trackBusy(node);
    await volume.locks.run(
      () => ({ touches: [key] }),
      async () => {
        volume.log.info({ key }, 'finishing what a crash interrupted');
        if (!(await this.#recover(file, opened))) return;
        this.#pending.delete(file);
        opened();
      },
    );
  }

  /** False when it was stopped before. */
  async #recover(file: PendingFile, opened: () => void): Promise<boolean> {
    const { log } = this.#operations.volume;
    while (!this.#stopped) {
      try {
        return await this.#limit(() => this.#attempt(file, opened));
      } catch (error) {
        log.warn(
          { err: error, key: file.key },
          'a file that a crash left unpublished is looked at again later',
        );
        await this.#rest();
      }
    }
    return false;
  }

  async #attempt({ node, refs }: PendingFile, opened: () => void): Promise<boolean> {
    if (this.#stopped) return false;
    const isAlone = (): boolean => this.#limit.activeCount === 1;
    const live = this.#operations.volume.intents.live();
    // What was put aside may have become the file's own since the attempt before.
    for (const ref of new Set([writtenRef(node), ...refs])) {
      const intent = live.get(ref);
      // Others end together with one before them.
      if (intent === undefined || !isOfFile(intent)) continue;
      await recoverFile(this.#operations, ref, intent, { opened, isAlone });
    }
    return true;
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        this.#wakers.delete(wake);
        resolve();
      };
      const cancel = this.#operations.volume.clock.after(RETRY_MS, wake);
      this.#wakers.add(wake);
    });
  }
}

/** The other intents of a file whose bytes are journaled under this ref. */
function besides(ref: string): string[] {
  const id = /^written:(\d+)$/.exec(ref)?.[1];
  return id === undefined ? [] : [`create:${id}`, `change:${id}`];
}

function isOfFile(intent: Intent): intent is FileIntent {
  return intent.kind === 'written' || intent.kind === 'create' || intent.kind === 'change';
}

/** In the order in which they were begun: what follows finds files by their new paths. */
async function finishNames({ volume, rename, namespace, silly }: VolumeOperations): Promise<void> {
  for (const [ref, intent] of [...volume.intents.live()]) {
    if (intent.volume !== volume.name) continue;
    if (intent.kind === 'silly-name') {
      await silly.restore(ref, intent);
      continue;
    }
    if (intent.kind === 'conflict') {
      volume.conflicts.restore(ref, intent);
      continue;
    }
    if (intent.kind === 'kept-directory') {
      await volume.kept.restore(ref, intent);
      continue;
    }
    const isOfNames =
      intent.kind === 'rename-file' || intent.kind === 'rename-directory' || intent.kind === 'remove-file';
    if (!isOfNames) continue;
    volume.log.info({ ref, kind: intent.kind }, 'finishing what a crash interrupted');
    try {
      if (intent.kind === 'remove-file') await namespace.finishRemoval(intent);
      else await rename.finish(ref, intent);
    } catch (error) {
      if (!(error instanceof StoreError) || PASSING.has(error.kind)) throw error;
      // Nobody was told that it was done. A directory's is harmless at any time: it overwrites nothing.
      const what =
        'a rename or removal that a crash interrupted is refused by the store; whoever asked for it has to repeat it';
      volume.log.error({ err: error, ref }, what);
      if (intent.kind === 'rename-directory') continue;
    }
    // Where files are now must not be forgotten by a kill that comes before the end of the start.
    await volume.nodes.settled();
    volume.intents.end(ref);
  }
  endCopiedKeys(volume);
}

/** What renames have copied is of no use when they are over. */
function endCopiedKeys({ name, intents }: Volume): void {
  for (const [ref, intent] of [...intents.live()])
    if (intent.kind === 'copied-keys' && intent.volume === name && !intents.live().has(intent.rename))
      intents.end(ref);
}
