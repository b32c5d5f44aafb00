/** What the figures should be. A ratio without a target is shown without one. */

export interface Target {
  /** A name in `ratios` of the report, or of its peer. */
  readonly ratio: string;
  readonly value: number;
  /** `most`: the ratio should be at most this; `least`: at least. */
  readonly bound: 'most' | 'least';
}

/** Against the floors (docs/decisions/0026-comparison.md says where they come from). */
const FLOOR_TARGETS: Readonly<Record<string, readonly Target[]>> = {
  'sequential-read': [
    { ratio: 'totalCpu', value: 2.3, bound: 'most' },
    { ratio: 'daemonCpu', value: 3.2, bound: 'most' },
  ],
  'sequential-read-tls': [{ ratio: 'totalCpu', value: 2.3, bound: 'most' }],
  'sequential-write': [{ ratio: 'daemonCpuToSdk', value: 0.5, bound: 'most' }],
  'sequential-read-far': [{ ratio: 'timeToEight', value: 1, bound: 'most' }],
  // 95% of what 32 connections give.
  'sequential-read-far-long': [{ ratio: 'timeToThirtyTwo', value: 1.053, bound: 'most' }],
  // 90% of what sixteen give.
  'sequential-write-far': [{ ratio: 'timeToSixteen', value: 1.11, bound: 'most' }],
  // A fifth of the time of one GET at a time, and an eighth.
  'small-files-far': [{ ratio: 'timeToOne', value: 0.2, bound: 'most' }],
  'medium-files-far': [{ ratio: 'timeToOne', value: 0.125, bound: 'most' }],
  'listing-million': [
    { ratio: 'timeToSdk', value: 1.5, bound: 'most' },
    { ratio: 'timeToDirect', value: 1.5, bound: 'most' },
    { ratio: 'requestsToPages', value: 1.02, bound: 'most' },
  ],
  // Four times as fast as LISTs one after another.
  'listing-far': [
    { ratio: 'timeToDirect', value: 0.25, bound: 'most' },
    { ratio: 'requestsToPages', value: 1.02, bound: 'most' },
  ],
  'listing-far-hashes': [{ ratio: 'timeToDirect', value: 0.25, bound: 'most' }],
  'first-byte': [
    { ratio: 'addedMedianMs', value: 1, bound: 'most' },
    { ratio: 'addedP99Ms', value: 3, bound: 'most' },
  ],
  // 0.9 of the rate of a process that only replies; 0.5 and 0.4 of that of NULL.
  'cached-read': [{ ratio: 'timeToReply', value: 1.11, bound: 'most' }],
  getattr: [{ ratio: 'time', value: 2, bound: 'most' }],
  access: [{ ratio: 'time', value: 2.5, bound: 'most' }],
  lookup: [{ ratio: 'time', value: 2.5, bound: 'most' }],
};

/** The daemon takes no more than a peer of anything, and a third of the time where most of the reading is done. */
const PEER_TARGETS: readonly Target[] = ['time', 'storedTime', 'cpu', 'memory'].map((ratio) => ({
  ratio,
  value: 1,
  bound: 'least',
}));
const PEER_TIMES_LEAST = 3;
const PEER_TIMES: readonly string[] = [
  'sequential-read',
  'sequential-read-far',
  'sequential-read-far-unshaped',
  'small-read',
  'small-read-far',
];

export function floorTarget(name: string, ratio: string): Target | undefined {
  return FLOOR_TARGETS[name]?.find((target) => target.ratio === ratio);
}

export function peerTarget(name: string, ratio: string): Target | undefined {
  const target = PEER_TARGETS.find((each) => each.ratio === ratio);
  if (target !== undefined && ratio === 'time' && PEER_TIMES.includes(name))
    return { ...target, value: PEER_TIMES_LEAST };
  return target;
}

export function meets({ value, bound }: Target, ratio: number): boolean {
  return bound === 'most' ? ratio <= value : ratio >= value;
}
