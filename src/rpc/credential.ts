/** From the credential of a call to a Credential (RFC 5531 section 8.2 and appendix A). */
import { AUTH_NONE, AUTH_SYS, authsys_parms, opaque_auth } from '../../protocol/rpc.js';
import { XdrError, type XdrReader } from '../../protocol/xdr-cursors.js';
import { decode } from '../../protocol/xdr.js';
import { RpcAuthError, type Credential } from './service.js';

const ANONYMOUS: Credential = { flavor: 'AUTH_NONE' };

/** Reads the credentials of one peer's calls. Call after call they are the same bytes: then they are the same object. */
export class Credentials {
  #last: { readonly bytes: Buffer; readonly credential: Credential } | undefined;

  /**
   * Reads credential and verifier. The verifier of both flavors says nothing and is not looked at. Throws RpcAuthError: AUTH_BADCRED
   * for a body that isn't its flavor's, AUTH_REJECTEDCRED for a flavor not served here.
   */
  read(reader: XdrReader): Credential {
    if (this.#last !== undefined && reader.skip(this.#last.bytes)) return this.#last.credential;
    const { remaining } = reader;
    const credential = credentialOf(decodeAuth(reader));
    // A copy: the record's bytes are used for another call when this one has ended.
    this.#last = { bytes: Buffer.from(reader.readSince(remaining)), credential };
    return credential;
  }
}

/** The credential; the reader stands behind the verifier. */
function decodeAuth(reader: XdrReader): opaque_auth {
  try {
    const cred = opaque_auth.decode(reader);
    opaque_auth.decode(reader);
    return cred;
  } catch (error) {
    if (error instanceof XdrError) throw new RpcAuthError('AUTH_BADCRED');
    throw error;
  }
}

function credentialOf(cred: opaque_auth): Credential {
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
