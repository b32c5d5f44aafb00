/**
 * The trials of test/crash with loss of power in place of kill -9: the daemon runs in a guest (power-machine.ts) whose power is cut at the
 * moment that the seed names, and that is switched on again with its disk. The store is outside and stays.
 */
import { planOf, type Plan, type Policy } from '../test/crash/plan.js';
import type { Elsewhere } from '../test/crash/rig.js';
import type { Network } from './network.js';
import { PowerMachine } from './power-machine.js';

/** A start takes 10 s rather than one; what a trial does beside that isn't much slower. */
const SLOWNESS = 8;

/** Of that seed's plan the work and the moments; it is always the power that fails, and the disk outlives it. */
export function powerPlanOf(seed: number, policy?: Policy): Plan {
  const plan = planOf(seed, policy);
  const lives = plan.lives.map((life) => ({ ...life, kill: { ...life.kill, who: ['daemon'] as const } }));
  return { ...plan, isEphemeral: false, lives };
}

/** One machine at a time: the network has one place. */
export function guestIn(network: Network): Elsewhere {
  return {
    relayHost: network.hostAddress,
    slowness: SLOWNESS,
    machine: async (relayPort) => PowerMachine.create(network, relayPort),
  };
}
