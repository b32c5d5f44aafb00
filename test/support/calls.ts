/** Calls as the RPC layer would make them, for handlers that are called directly. */
import type { Call, Credential } from '../../src/rpc/service.js';

export interface DirectCall extends Call {
  /** Runs what the handler asked to be run after the reply; returns how much that was. */
  sendReply(): number;
}

export const ROOT: Credential = { flavor: 'AUTH_SYS', uid: 0, gid: 0, gids: [] };
export const userCredential = (uid: number, gid = uid, gids: readonly number[] = []): Credential => ({
  flavor: 'AUTH_SYS',
  uid,
  gid,
  gids,
});

export function directCall(
  credential: Credential = ROOT,
  signal: AbortSignal = new AbortController().signal,
): DirectCall {
  const releases: (() => void)[] = [];
  return {
    xid: 1,
    credential,
    remoteAddress: '192.0.2.1',
    remotePort: 700,
    localAddress: '192.0.2.2',
    localPort: 2049,
    transport: 'tcp',
    signal,
    onReplySent: (release) => releases.push(release),
    sendReply() {
      const pending = releases.splice(0);
      for (const release of pending) release();
      return pending.length;
    },
  };
}
