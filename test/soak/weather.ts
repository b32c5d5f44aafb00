/** What the store does to requests: a plan of faults holds for some seconds, then another. All of them are such that the answers must be right, but for bits flipped in large files (judge-reads.ts). */
import type { FaultPlan } from '../../src/store/faults/plan.js';
import { faultPlan, parseRule } from '../../src/store/faults/parse-plan.js';

export interface Weather {
  readonly name: string;
  readonly rules: readonly string[];
}

export const CALM: Weather = { name: 'calm', rules: [] };

export const WEATHERS: readonly Weather[] = [
  CALM,
  { name: 'resets', rules: ['reset at=anywhere rate=20% operation=GetObject', 'reset rate=5%'] },
  {
    name: 'resets at boundaries',
    rules: ['reset at=65536 rate=15% operation=GetObject', 'reset at=1MiB rate=15% operation=GetObject'],
  },
  {
    name: 'truncated',
    rules: [
      'truncate rate=12% operation=GetObject',
      'truncate framing=chunked rate=12% operation=GetObject',
      'truncate framing=chunked-cut rate=12% operation=GetObject,ListObjectsV2',
    ],
  },
  { name: 'SlowDown storm', rules: ['error code=SlowDown rate=70%'] },
  { name: 'errors', rules: ['error code=InternalError rate=15%', 'error code=ServiceUnavailable rate=15%'] },
  {
    name: 'stalls',
    rules: [
      'stall at=anywhere time=2s rate=10% operation=GetObject',
      'stall time=3s rate=5%',
      'stall at=anywhere rate=1% operation=GetObject',
    ],
  },
  { name: 'slow', rules: ['latency time=lognormal(40ms,0.8)', 'bandwidth speed=4MiB/s'] },
  {
    name: 'everything',
    rules: [
      'latency time=1ms..30ms rate=50%',
      'reset at=anywhere rate=5% operation=GetObject',
      'truncate rate=5% operation=GetObject',
      'error code=SlowDown rate=10%',
      'error code=InternalError rate=5%',
      'error code=InternalError moment=after rate=5%',
      'stall at=anywhere time=1s rate=3% operation=GetObject',
      'corrupt rate=5% operation=GetObject',
    ],
  },
  { name: 'corrupted bodies', rules: ['corrupt rate=20% operation=GetObject'] },
];

export function planOf({ rules }: Weather, seed: number): FaultPlan {
  return faultPlan(
    rules.map((rule) => parseRule(rule, rule)),
    seed,
  );
}
