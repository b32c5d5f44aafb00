/** What the write session of a file works with. */
import type { WriteSessionOptions } from '../write/session-options.js';
import { sessionJournal, uploadJournal } from './journaling.js';
import type { FileNode } from './node.js';
import type { Volume } from './volume.js';

/** For a session that begins: over the version that the file has now. */
export function sessionOptions(volume: Volume, node: FileNode): WriteSessionOptions {
  const { version } = node;
  return {
    store: volume.store,
    budget: volume.budget,
    spool: volume.spool,
    log: volume.log,
    readBase: (base, offset, count, signal) => volume.readers.read(base, offset, count, signal),
    heldBase: (base, offset, count) =>
      volume.readers.isHeld(base, offset, count)
        ? volume.readers.readHeld(base, offset, count, 'random')
        : volume.published.held(base, offset, count),
    onPut: (published, body) => {
      // A file that was there is likely to be changed again; of those that are made, few are.
      if (node.version !== undefined || node.pace.isStreaming) volume.published.keep(published, body);
    },
    uploads: uploadJournal(volume),
    target: () => ({ key: volume.keyOf(node), headers: volume.headersOf(node, 'without times') }),
    ...(version !== undefined && {
      base: { key: volume.keyOf(node), etag: version.etag, size: version.size },
    }),
    ...(volume.writeOptions !== undefined && { options: volume.writeOptions }),
    ...(!volume.commit.isStateEphemeral && { durable: durableOptions(volume, node) }),
  };
}

/** Where the file's bytes are made safe without being published. */
export function durableOptions(volume: Volume, node: FileNode): WriteSessionOptions['durable'] & object {
  return { segments: volume.segments, journal: sessionJournal(volume, node) };
}
