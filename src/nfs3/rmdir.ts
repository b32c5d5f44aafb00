import { toWccData } from './attributes.js';
import { unchangedDirectory } from './created-object.js';
import { answer, type Handler } from './procedure.js';

/** RMDIR (RFC 1813 3.3.13). */
export const rmdir: Handler<'RMDIR'> = (options, { object }, call) =>
  answer(
    'RMDIR',
    options,
    call,
    async (context) => {
      const report = await options.fs.rmdir(context, object.dir, object.name);
      return { status: 'NFS3_OK', resok: { dir_wcc: toWccData(report) } };
    },
    unchangedDirectory,
  );
