/** What was sent and what came back, counted; and the first few things that were wrong. */
import type { Expected, Verdict } from './oracle.js';
import type { Shot } from './calls.js';

const FAULTS_KEPT = 20;

export interface Fault {
  readonly about: string;
  readonly what: string;
  /** The message, in hexadecimal. */
  readonly message: string;
}

export class Tally {
  /** Messages and streams sent. */
  records = 0;
  replies = 0;
  /** Calls by UDP without a reply: allowed, where a bound was passed. */
  unanswered = 0;
  connections = 0;
  /** Connections that the server had to cut, and did. */
  cuts = 0;
  faultCount = 0;
  readonly faults: Fault[] = [];
  /** By what was called, then by status. */
  readonly statuses = new Map<string, Map<string, number>>();

  judged(expected: Expected, verdict: Verdict): void {
    this.replies++;
    const about = expected.procedure === undefined ? `(${expected.about})` : expected.about;
    const counts = this.statuses.get(about) ?? new Map<string, number>();
    this.statuses.set(about, counts);
    counts.set(verdict.status, (counts.get(verdict.status) ?? 0) + 1);
  }

  fault(what: string, shot?: Shot): void {
    this.faultCount++;
    if (this.faults.length >= FAULTS_KEPT) return;
    const message = shot?.message.subarray(0, 4096).toString('hex') ?? '';
    this.faults.push({ about: shot?.expected.about ?? '', what, message });
  }

  /** How often a procedure was answered with a status. */
  count(about: string, status: string): number {
    return this.statuses.get(about)?.get(status) ?? 0;
  }

  /** One line for each procedure: its statuses, the most frequent first. */
  lines(): string[] {
    return [...this.statuses]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([about, counts]) => {
        const told = [...counts].sort(([, a], [, b]) => b - a).map(([status, count]) => `${status} ${count}`);
        return `${about}: ${told.join(', ')}`;
      });
  }
}
