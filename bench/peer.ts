/**
 * A case by the daemon and by a peer: both are prepared, each with a store of its own, and their rounds run in turn, so that whatever else the
 * machine does falls on both. Who is second finds the machine otherwise than who is first, so they change places from round to round. Floors are left
 * out.
 */
import { endAll, prepareCase, type Case, type Prepared, type Sample, type Setup } from './measure.js';
import type { Peer } from './server.js';

export interface PeerRound {
  readonly ours: Sample;
  readonly theirs: Sample;
}

export interface PeerComparison {
  readonly prepared: Prepared;
  readonly rounds: readonly PeerRound[];
  /** Why the peer was given up, in words; then its rounds are those before. */
  readonly failure?: string;
  /** Rounds of the daemon alone, when the peer failed. */
  readonly alone: readonly Sample[];
}

/** Fails where the daemon does. */
export async function runAgainst(
  each: Case,
  peer: Peer,
  options: Omit<Setup, 'defer' | 'startServer'>,
): Promise<PeerComparison> {
  const ends: (() => Promise<void>)[] = [];
  try {
    const ours = await prepareCase(each, options, ends);
    const rounds: PeerRound[] = [];
    const alone: Sample[] = [];
    let failure: string | undefined;
    const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
      if (failure !== undefined) return undefined;
      try {
        return await work();
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error);
        return undefined;
      }
    };
    const theirs = await attempt(() => prepareCase(each, { ...options, startServer: peer.start }, ends));
    for (let round = 0; round <= options.rounds; round++) {
      const compete = (): Promise<Sample | undefined> => attempt(async () => theirs?.work(round));
      const before = round % 2 === 0 ? await compete() : undefined;
      const sample = await ours.work(round);
      const other = before ?? (await compete());
      if (round === 0) continue;
      if (other === undefined) alone.push(sample);
      else rounds.push({ ours: sample, theirs: other });
    }
    return { prepared: ours, rounds, alone, ...(failure !== undefined && { failure }) };
  } finally {
    await endAll(ends);
  }
}
