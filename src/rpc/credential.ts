/** From the opaque_auth of a call to a Credential (RFC 5531 section 8.2 and appendix A). */
import { AUTH_NONE, AUTH_SYS, authsys_parms, type opaque_auth } from '../../protocol/rpc.js';
import { XdrError } from '../../protocol/xdr-cursors.js';
import { decode } from '../../protocol/xdr.js';
import { RpcAuthError, type Credential } from './service.js';

const ANONYMOUS: Credential = { flavor: 'AUTH_NONE' };

/** Throws RpcAuthError: AUTH_BADCRED for a body that isn't its flavor's, AUTH_REJECTEDCRED for a flavor not served here. */
export function credentialOf(cred: opaque_auth): Credential {
  switch (cred.flavor) {
    case AUTH_NONE:
      // Its body is undefined by the RFC and should be empty; what it holds doesn't matter.
      return ANONYMOUS;
    case AUTH_SYS:
      return systemCredential(cred.body);
    default:
      throw new RpcAuthError('AUTH_REJECTEDCRED');
  }
}

function systemCredential(body: Buffer): Credential {
  try {
    const { uid, gid, gids, machinename } = decode(authsys_parms, body);
    return { flavor: 'AUTH_SYS', uid, gid, gids, machineName: machinename.toString('utf8') };
  } catch (error) {
    if (error instanceof XdrError) throw new RpcAuthError('AUTH_BADCRED');
    throw error;
  }
}
