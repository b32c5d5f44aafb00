import { toAttributeChanges } from './attributes.js';
import { createdObject, unchangedDirectory } from './created-object.js';
import { answer, type Handler } from './procedure.js';

/** SYMLINK (RFC 1813 3.3.10). The target is bytes that the server never interprets. */
export const symlink: Handler<'SYMLINK'> = (options, { where, symlink: link }, call) =>
  answer(
    'SYMLINK',
    options,
    call,
    async (context) => {
      const changes = toAttributeChanges(link.symlink_attributes);
      return createdObject(
        await options.fs.symlink(context, where.dir, where.name, link.symlink_data, changes),
      );
    },
    unchangedDirectory,
  );
