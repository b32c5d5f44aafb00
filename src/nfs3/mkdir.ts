import { toAttributeChanges } from './attributes.js';
import { createdObject, unchangedDirectory } from './created-object.js';
import { answer, type Handler } from './procedure.js';

/** MKDIR (RFC 1813 3.3.9). */
export const mkdir: Handler<'MKDIR'> = (options, { where, attributes }, call) =>
  answer(
    'MKDIR',
    options,
    call,
    async (context) => {
      const changes = toAttributeChanges(attributes);
      return createdObject(await options.fs.mkdir(context, where.dir, where.name, changes));
    },
    unchangedDirectory,
  );
