import { toWccData } from './attributes.js';
import { unchangedDirectory } from './created-object.js';
import { answer, type Handler } from './procedure.js';

/** REMOVE (RFC 1813 3.3.12). */
export const remove: Handler<'REMOVE'> = (options, { object }, call) =>
  answer(
    'REMOVE',
    options,
    call,
    async (context) => {
      const report = await options.fs.remove(context, object.dir, object.name);
      return { status: 'NFS3_OK', resok: { dir_wcc: toWccData(report) } };
    },
    unchangedDirectory,
  );
