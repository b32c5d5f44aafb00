import { toWccData, UNKNOWN_WCC } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** RENAME (RFC 1813 3.3.14). */
export const rename: Handler<'RENAME'> = (options, { from, to }, call) =>
  answer(
    'RENAME',
    options,
    call,
    async (context) => {
      const report = await options.fs.rename(context, from.dir, from.name, to.dir, to.name);
      return {
        status: 'NFS3_OK',
        resok: { fromdir_wcc: toWccData(report.from), todir_wcc: toWccData(report.to) },
      };
    },
    (status) => ({ status, resfail: { fromdir_wcc: UNKNOWN_WCC, todir_wcc: UNKNOWN_WCC } }),
  );
