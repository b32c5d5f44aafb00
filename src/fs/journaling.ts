/** What isn't published of a file, in the journal: so that a crash doesn't lose what was promised. */
import { isDeepStrictEqual } from 'node:util';
import type { SessionJournal } from '../write/durability.js';
import type { DurableRecord } from '../write/durable-record.js';
import type { UploadJournal } from '../write/multipart-upload.js';
import { FsError } from './errors.js';
import type { Intent, JournaledAttributes } from './intent-log.js';
import type { FileNode } from './node.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

export const createRef = (node: FileNode): string => `create:${node.id}`;
export const changeRef = (node: FileNode): string => `change:${node.id}`;
export const writtenRef = (node: FileNode): string => `written:${node.id}`;

/** Intents of a file that isn't published, by its id. */
export const unpublishedRefs = (id: bigint | string): string[] => [
  `create:${id}`,
  `change:${id}`,
  `written:${id}`,
];

/** What a crash left in the journal of a file that was to go, goes: nothing of it is carried out. */
export async function dropUnpublished({ intents, segments }: Volume, id: string): Promise<void> {
  const written = intents.live().get(`written:${id}`);
  await Promise.all(unpublishedRefs(id).map((ref) => intents.drop(ref)));
  if (written?.kind === 'written') segments.free(written.record.extents.map(({ piece }) => piece));
}

/** A size that SETATTR gave the file; or that the object has all sizes of before by now. */
type SizeNews = number | 'published' | undefined;

/** Resolves when the file's attributes are safe on disk. */
export async function journal(volume: Volume, node: FileNode, size?: SizeNews): Promise<void> {
  try {
    await journalNow(volume, node, size);
  } catch (error) {
    const { code, message } = toFsError(error);
    throw new FsError(code, `"${volume.keyOf(node)}" in ${volume.name}: ${message}`, { cause: error });
  }
}

async function journalNow(volume: Volume, node: FileNode, news: SizeNews): Promise<void> {
  while (node.session !== undefined && volume.intents.live().has(writtenRef(node))) {
    const { session } = node;
    try {
      // What is said of the file stands with its bytes: the two must not contradict each other.
      return await session.keep();
    } catch (error) {
      if (node.session === session) throw error;
    }
  }
  // Published meanwhile, and let go: the store has it.
  if (!node.publishable) return;
  const common = {
    volume: volume.name,
    path: node.movingTo ?? volume.pathOf(node),
    attributes: journaled(node),
    ...(node.timesGiven && { timesGiven: true as const }),
  };
  const sizeBytes = news === 'published' ? undefined : news;
  if (node.created) {
    const earlier = volume.intents.live().get(createRef(node));
    const size = sizeBytes ?? (earlier?.kind === 'create' ? earlier.sizeBytes : undefined);
    const intent: Intent = {
      kind: 'create',
      ...common,
      ...(size !== undefined && { sizeBytes: size }),
      ...(node.exclusiveVerifier !== undefined && { exclusiveVerifier: node.exclusiveVerifier }),
    };
    await volume.intents.put(createRef(node), intent);
    return;
  }
  if (node.version === undefined) return;
  const { etag } = node.version;
  const live = volume.intents.live().get(changeRef(node));
  const isEarlier = live?.kind === 'change' && live.etag === etag && news !== 'published';
  const earlier = isEarlier ? live : undefined;
  const size = sizeBytes ?? earlier?.sizeBytes;
  const kept = Math.min(size ?? Infinity, earlier?.keptBytes ?? Infinity, earlier?.sizeBytes ?? Infinity);
  const intent: Intent = {
    kind: 'change',
    ...common,
    etag,
    ...(size !== undefined && { sizeBytes: size, keptBytes: kept }),
  };
  await volume.intents.put(changeRef(node), intent);
}

/** Journals the file's attributes as a change of the version `etag` of its object; resolves when that is on the disk. Errors: JournalError. */
export async function journalChangeOf(volume: Volume, node: FileNode, etag: string): Promise<void> {
  await volume.intents.put(changeRef(node), {
    kind: 'change',
    volume: volume.name,
    path: node.movingTo ?? volume.pathOf(node),
    attributes: journaled(node),
    ...(node.timesGiven && { timesGiven: true as const }),
    etag,
  });
}

export const uploadRef = (uploadId: string): string => `upload:${uploadId}`;

/** The journal of multipart uploads: what the janitor knows them by. */
export function uploadJournal({ name, intents, uploadsInUse }: Volume): UploadJournal {
  return {
    started: async (key, uploadId) => {
      uploadsInUse.add(uploadId);
      await intents.put(uploadRef(uploadId), { kind: 'upload', volume: name, key, uploadId });
    },
    resumed: (uploadId) => void uploadsInUse.add(uploadId),
    ended: (uploadId) => {
      uploadsInUse.delete(uploadId);
      intents.end(uploadRef(uploadId));
    },
    left: (uploadId) => void uploadsInUse.delete(uploadId),
  };
}

/** The journal of a file's unpublished bytes. Whoever has it written to holds the file's key. */
export function sessionJournal(volume: Volume, node: FileNode): SessionJournal {
  const writersOf = (): { readonly writers?: readonly string[] } => {
    const { unpublishedWriters: writers } = node;
    return writers.size === 0 ? {} : { writers: [...writers].sort() };
  };
  const intentOf = (record: DurableRecord): Extract<Intent, { kind: 'written' }> => ({
    kind: 'written',
    volume: volume.name,
    path: node.movingTo ?? volume.pathOf(node),
    attributes: journaled(node),
    ...(node.exclusiveVerifier !== undefined && { exclusiveVerifier: node.exclusiveVerifier }),
    ...(node.version !== undefined && { etag: node.version.etag }),
    ...(node.timesGiven && { timesGiven: true }),
    ...writersOf(),
    record,
  });
  const { intents } = volume;
  return {
    write: async (record, change) => {
      const intent = intentOf(record);
      if (change !== undefined) return await intents.change(writtenRef(node), intent, change);
      await intents.put(writtenRef(node), intent);
      // All that was said of the file is in it now. A size of before must not outlive it: published bytes may have the ETag that they had then.
      for (const ref of [createRef(node), changeRef(node)]) intents.end(ref);
    },
    touch: async (record) => {
      const intent = intentOf(record);
      if (isDeepStrictEqual(intents.live().get(writtenRef(node)), intent)) return;
      await intents.change(writtenRef(node), intent, record.noChange);
    },
    end: () => intents.dropInTime(writtenRef(node)),
  };
}

/** Journals the sibling object that keeps the loser of a conflict, for the janitor. Doesn't wait: a sibling that isn't journaled is never removed by age. */
export function noteSibling({ name, intents, clock, log }: Volume, key: string, etag: string): void {
  const noted = intents.put(`sibling:${key}`, {
    kind: 'sibling',
    volume: name,
    key,
    etag,
    keptMs: clock.nowMs(),
  });
  noted.catch((error: unknown) =>
    log.warn({ err: error, key }, 'the loser of a conflict will not be removed by age'),
  );
}

/**
 * Keeps the bytes of a file whose name somebody else's object has, where they are: in an upload that can be completed at that key alone,
 * and in the spool. False where there is no journal to keep them in, or no room. The caller holds the file's key; the session is left.
 */
export async function keepLoser(volume: Volume, node: FileNode): Promise<boolean> {
  const { session } = node;
  try {
    await session?.keep();
  } catch (error) {
    volume.log.warn({ err: error }, 'the loser of a conflict could not be journaled');
    return false;
  }
  const intent = volume.intents.live().get(writtenRef(node));
  if (intent?.kind !== 'written') return false;
  const { etag: _older, ...kept } = intent;
  await volume.intents.put(`loser:${node.id}:${intent.record.upload?.uploadId ?? ''}`, {
    ...kept,
    isLoser: true,
    ...(volume.losersHaveAge && { keptMs: volume.clock.nowMs() }),
  });
  volume.intents.end(writtenRef(node));
  await session?.leave();
  return true;
}

function journaled(node: FileNode): JournaledAttributes {
  return {
    ...(node.mode !== undefined && { mode: node.mode }),
    ...(node.uid !== undefined && { uid: node.uid }),
    ...(node.gid !== undefined && { gid: node.gid }),
    mtimeNs: String(node.mtimeNs),
    atimeNs: String(node.atimeNs),
  };
}
