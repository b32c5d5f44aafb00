/** Kills who is to be killed at the moment it is armed for, in the very call that tells of the moment. */
import type { Kill } from './plan.js';
import type { Rig } from './rig.js';

export class Trigger {
  readonly #rig: Rig;
  readonly #onKill: (kill: Kill) => void;
  #armed: Kill | undefined;
  #left = 0;
  #killed: Kill['who'] = [];
  #restarting: Promise<void> | undefined;

  constructor(rig: Rig, onKill: (kill: Kill) => void) {
    this.#rig = rig;
    this.#onKill = onKill;
    rig.relay.onMoment = (moment) => this.happens(moment);
  }

  /** Counts from now. */
  arm(kill: Kill): void {
    this.#armed = kill;
    this.#left = kill.count;
    this.#killed = [];
    this.#restarting = undefined;
  }

  disarm(): void {
    this.#armed = undefined;
  }

  hasKilled(who: 'daemon' | 'store'): boolean {
    return this.#killed.includes(who);
  }

  /** True where what happens is not to go on: the daemon is dead. */
  happens(at: Kill['at']): boolean {
    if (at === this.#armed?.at && --this.#left === 0) this.#fire(this.#armed);
    return at !== 'call' && this.hasKilled('daemon');
  }

  /** Kills now, if the moment never came. */
  pull(): void {
    if (this.#armed !== undefined) this.#fire({ ...this.#armed, at: 'call' });
  }

  /** Resolves when the dead are buried, and the store is there again. */
  async done(): Promise<void> {
    if (this.hasKilled('daemon')) await this.#rig.ended('daemon');
    await this.#restarting;
    // Nothing holds back what is asked from now on.
    this.#killed = [];
  }

  #fire(kill: Kill): void {
    this.#armed = undefined;
    this.#killed = kill.who;
    for (const who of kill.who) this.#rig.kill(who);
    this.#onKill(kill);
    if (kill.who.includes('store')) this.#restarting = this.#restartStore();
  }

  async #restartStore(): Promise<void> {
    await this.#rig.ended('store');
    await this.#rig.startStore();
  }
}
