import type { entryplus3 } from '../../protocol/nfs3/messages.js';
import { DATA_BYTES_MAX, FATTR3_BYTES } from '../../protocol/nfs3/types.js';
import type { DirectoryEntry } from '../fs/file-system.js';
import { toFattr3 } from './attributes.js';
import { COOKIE_VERIFIER, directoryReply, type ReplyLimits } from './directory-reply.js';
import { opaqueBytes, type RunEncoder } from './encoded-run.js';
import { answer, type Handler } from './procedure.js';
import { RESOK_FIXED_BYTES } from './readdir.js';

/**
 * READDIRPLUS (RFC 1813 3.3.17). `maxcount` bounds READDIRPLUS3resok, `dircount` its names, cookies and fileids. Attributes and
 * handles that the listing didn't tell are left out: the client asks for those it needs.
 */
export const readdirplus: Handler<'READDIRPLUS'> = (options, args, call) =>
  answer(
    'READDIRPLUS',
    options,
    call,
    async (context) => {
      const limits = limitsOf(args.dircount, args.maxcount, options.runs.attributes);
      const reply = await directoryReply(options.fs, context, args.dir, args.cookie, limits);
      return {
        status: 'NFS3_OK',
        resok: {
          dir_attributes: reply.attributes && toFattr3(reply.attributes),
          cookieverf: COOKIE_VERIFIER,
          reply: { entries: reply.entries.map(toEntryplus3), eof: reply.eof, encoded: reply.encoded },
        },
      };
    },
    (status) => ({ status, resfail: { dir_attributes: undefined } }),
  );

function limitsOf(dircount: number, maxcount: number, encoder: RunEncoder): ReplyLimits {
  return {
    replyBytes: Math.min(maxcount, DATA_BYTES_MAX) - RESOK_FIXED_BYTES,
    directoryBytes: dircount,
    encoder,
    wanted: 'attributes',
    cost: entryCost,
    entryBytesTypical: 192,
  };
}

function entryCost({ name, attributes, handle }: DirectoryEntry): {
  replyBytes: number;
  directoryBytes: number;
} {
  const directoryBytes = 8 + opaqueBytes(name.length) + 8;
  const attributeBytes = attributes === undefined ? 4 : 4 + FATTR3_BYTES;
  const handleBytes = handle === undefined ? 4 : 4 + opaqueBytes(handle.length);
  return { replyBytes: 4 + directoryBytes + attributeBytes + handleBytes, directoryBytes };
}

const toEntryplus3 = ({ fileid, name, cookie, attributes, handle }: DirectoryEntry): entryplus3 => ({
  fileid,
  name,
  cookie,
  name_attributes: attributes && toFattr3(attributes),
  name_handle: handle,
});
