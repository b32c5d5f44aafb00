/** The greatest memory of a process over a time, looked at every 50 ms: what it has of its own, not the files that it maps. */
import { readFileSync } from 'node:fs';

const INTERVAL_MS = 50;

export class MemoryGauge {
  /** In MiB, as all here. */
  readonly firstMib: number;
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peakMib = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#look();
    this.firstMib = this.#peakMib;
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS);
  }

  /** The peak. Repeatable. */
  stop(): number {
    clearInterval(this.#timer);
    return this.#peakMib;
  }

  #look(): void {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
    const kib = (name: string): number =>
      Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]);
    this.#peakMib = Math.max(this.#peakMib, Math.round((kib('RssAnon') + kib('RssShmem')) / 1024));
  }
}
