import { DATA_BYTES_MAX, FATTR3_BYTES } from '../../protocol/nfs3/types.js';
import type { DirectoryEntry } from '../fs/file-system.js';
import { toFattr3 } from './attributes.js';
import { COOKIE_VERIFIER, directoryReply, type ReplyLimits } from './directory-reply.js';
import { opaqueBytes, type RunEncoder } from './encoded-run.js';
import { answer, type Handler } from './procedure.js';

/** READDIR3resok without entries: dir_attributes (present), cookieverf, end of the list, eof. */
export const RESOK_FIXED_BYTES = 4 + FATTR3_BYTES + 8 + 4 + 4;

/** READDIR (RFC 1813 3.3.16). `count` bounds READDIR3resok with all its overhead. The verifier that comes back is not looked at. */
export const readdir: Handler<'READDIR'> = (options, args, call) =>
  answer(
    'READDIR',
    options,
    call,
    async (context) => {
      const limits = limitsOf(args.count, options.runs.names);
      const reply = await directoryReply(options.fs, context, args.dir, args.cookie, limits);
      return {
        status: 'NFS3_OK',
        resok: {
          dir_attributes: reply.attributes && toFattr3(reply.attributes),
          cookieverf: COOKIE_VERIFIER,
          reply: {
            entries: reply.entries.map(({ fileid, name, cookie }) => ({ fileid, name, cookie })),
            eof: reply.eof,
            encoded: reply.encoded,
          },
        },
      };
    },
    (status) => ({ status, resfail: { dir_attributes: undefined } }),
  );

function limitsOf(count: number, encoder: RunEncoder): ReplyLimits {
  return {
    replyBytes: Math.min(count, DATA_BYTES_MAX) - RESOK_FIXED_BYTES,
    directoryBytes: Infinity,
    encoder,
    wanted: 'names',
    cost: (entry) => ({ replyBytes: entryBytes(entry), directoryBytes: 0 }),
    entryBytesTypical: 40,
  };
}

/** entry3 in the list: the mark that it follows, fileid, name, cookie. */
const entryBytes = ({ name }: DirectoryEntry): number => 4 + 8 + opaqueBytes(name.length) + 8;
