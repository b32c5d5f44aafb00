import { toWccData, UNKNOWN_WCC } from './attributes.js';
import { answer, type Handler } from './procedure.js';

/** COMMIT (RFC 1813 3.3.21). Always the whole file, whatever range is named: the RFC allows more, and Linux asks for it. */
export const commit: Handler<'COMMIT'> = (options, { file }, call) =>
  answer(
    'COMMIT',
    options,
    call,
    async (context) => {
      const result = await options.fs.commit(context, file);
      return { status: 'NFS3_OK', resok: { file_wcc: toWccData(result.file), verf: result.verifier } };
    },
    (status) => ({ status, resfail: { file_wcc: UNKNOWN_WCC } }),
  );
