/** stable_how (RFC 1813 3.3.7) and the file system's word for it. */
import type { stable_how } from '../../protocol/nfs3/types.js';
import type { Stability } from '../fs/file-system.js';

export const STABILITY_OF: { readonly [S in stable_how]: Stability } = {
  UNSTABLE: 'unstable',
  DATA_SYNC: 'dataSync',
  FILE_SYNC: 'fileSync',
};

export const STABLE_HOW_OF: { readonly [S in Stability]: stable_how } = {
  unstable: 'UNSTABLE',
  dataSync: 'DATA_SYNC',
  fileSync: 'FILE_SYNC',
};
