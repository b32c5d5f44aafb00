/** What a seed stands for: how the daemon is run, who is killed when, how much is done. */
import { Dice } from './dice.js';
import type { Moment } from './relay.js';

export type Policy = 'publish' | 'journal';

/** Who dies at the moment when so many have come, of answers to clients or of moments at the store. */
export interface Kill {
  readonly at: 'call' | Moment;
  readonly count: number;
  readonly who: readonly ('daemon' | 'store')[];
}

/** From a start to the next, with a kill in between. */
export interface Life {
  readonly steps: number;
  readonly kill: Kill;
  /** Of the daemon, while it starts again: one after the other. */
  readonly again: readonly Kill[];
}

export interface Plan {
  readonly seed: number;
  readonly policy: Policy;
  readonly isEphemeral: boolean;
  readonly memoryLimit: string;
  readonly journalRest: string;
  readonly partBytes: number;
  readonly lanes: number;
  readonly lives: readonly Life[];
}

/** The least that S3 takes. */
const PART_BYTES = 5 * 1024 * 1024;

export function planOf(seed: number, policyWanted?: Policy): Plan {
  const dice = new Dice(seed, 0);
  const drawn = dice.pick(['publish', 'journal'] as const);
  const policy = policyWanted ?? drawn;
  const isEphemeral = dice.chance(0.25) && policy === 'publish';
  const memoryLimit = dice.pick(['32MiB', '64MiB', '128MiB']);
  const journalRest = dice.pick(['100ms', '1s', '1s', '4s']);
  const lanes = dice.between(1, 3);
  const lives = Array.from({ length: dice.pick([1, 1, 1, 1, 2, 3]) }, () => lifeOf(dice));
  return { seed, policy, isEphemeral, memoryLimit, journalRest, partBytes: PART_BYTES, lanes, lives };
}

function lifeOf(dice: Dice): Life {
  const at = dice.pick(['call', 'call', 'request', 'body', 'answer'] as const);
  const count = dice.scale(1, at === 'call' ? 250 : 120);
  const who = dice.weighted<Kill['who']>([
    [6, ['daemon']],
    [2, ['daemon', 'store']],
    [2, ['store']],
  ]);
  const again: Kill[] = [];
  while (again.length < 2 && dice.chance(0.3)) {
    const moment = dice.pick(['request', 'body', 'answer'] as const);
    again.push({ at: moment, count: dice.scale(1, 12), who: ['daemon'] });
  }
  return { steps: dice.scale(8, 40), kill: { at, count, who }, again };
}

export function planText({ policy, isEphemeral, memoryLimit, journalRest, lanes, lives }: Plan): string {
  const kills = lives.map(
    ({ kill, again }) =>
      `${kill.who.join(' and ')} at ${kill.at} ${kill.count}${again.map((each) => `, again at ${each.at} ${each.count} of the start`).join('')}`,
  );
  return `${policy}${isEphemeral ? ', ephemeral' : ''}, ${memoryLimit}, rest ${journalRest}, ${lanes} clients; kills: ${kills.join('; ')}`;
}
