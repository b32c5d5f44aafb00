/**
 * A client that reads a file front to back through the window policy, over a store with a wait and a speed for each connection, in
 * simulated time: what the policy alone makes of a link, whatever the machine is doing.
 */
import type { Beginnings } from '../../src/read/beginnings.js';
import { READ_DEFAULTS } from '../../src/read/options.js';
import { Pace } from '../../src/read/pace.js';
import type { Span } from '../../src/read/span.js';
import { GETS_MIN } from '../../src/read/parts.js';
import { countOf, lastBytesOf } from '../../src/read/succession.js';
import type { Stream } from '../../src/read/stream.js';
import { Window } from '../../src/read/window.js';

export interface Link {
  readonly firstByteMs: number;
  /** Of one connection. */
  readonly bytesPerMs: number;
}

interface Get extends Span {
  readonly beganMs: number;
  told: boolean;
}

export interface SimulatedRead {
  readonly ms: number;
  readonly gets: number;
  readonly bytes: number;
  /** GETs in flight at most, and those of them that bring bytes. */
  readonly getsMax: number;
  readonly arrivingMax: number;
}

export function newPace(): Pace {
  return new Pace({
    getsMin: GETS_MIN,
    getsMax: READ_DEFAULTS.requestsPerObjectMax,
    partBytes: READ_DEFAULTS.partBytesMax,
    bytesMin: 128 * 1024,
  });
}

/** Reads `size` bytes by READs of `readBytes`, `depth` in flight; `pace` and `beginnings` are those of the mount. */
export function simulatedRead(
  link: Link,
  size: number,
  reads: { readonly readBytes: number; readonly depth: number },
  mount: { readonly windowBytesMax: number; readonly pace: Pace; readonly beginnings?: Beginnings },
): SimulatedRead {
  let nowMs = 0;
  const { pace, windowBytesMax } = mount;
  const window = new Window(size, { ...READ_DEFAULTS, now: () => nowMs }, mount.beginnings);
  const gets: Get[] = [];
  let getsMax = 0;
  let arrivingMax = 0;
  /** The stream whose plan there was no room for. */
  let short: Stream | undefined;
  const endMs = (get: Get): number =>
    get.beganMs + link.firstByteMs + (get.end - get.start) / link.bytesPerMs;
  const firstMs = (get: Get): number => get.beganMs + link.firstByteMs;
  const inFlight = (): Get[] => gets.filter((get) => endMs(get) > nowMs);
  const hasRoom = (): boolean => {
    const { worthBytes } = pace.wanted;
    const underWay = inFlight().map((get) => {
      const arrived = Math.max(0, nowMs - firstMs(get)) * link.bytesPerMs;
      return { arriving: arrived > 0, rest: { start: Math.round(get.start + arrived), end: get.end } };
    });
    return (
      underWay.length < READ_DEFAULTS.requestsMax * 0.75 &&
      countOf(underWay, worthBytes) < READ_DEFAULTS.requestsPerObjectMax
    );
  };
  /** When the next GET makes room for another one. */
  const roomMs = (): number => {
    const lastMs = lastBytesOf(pace.wanted.worthBytes) / link.bytesPerMs;
    const times = inFlight().flatMap((get) => [endMs(get) - lastMs + 1e-3, endMs(get)]);
    return Math.min(...times.filter((ms) => ms > nowMs));
  };
  const covers = (offset: number): Get | undefined =>
    gets.find(({ start, end }) => start <= offset && offset < end);
  const begin = (span: Span): void => {
    for (let from = span.start; from < span.end;) {
      const there = covers(from);
      if (there !== undefined) {
        from = there.end;
        continue;
      }
      const next = Math.min(span.end, ...gets.map(({ start }) => start).filter((start) => start > from));
      gets.push({ start: from, end: next, beganMs: nowMs, told: false });
      from = next;
    }
    const underWay = inFlight();
    getsMax = Math.max(getsMax, underWay.length);
    // Just before the last bytes of one of them: that is when most bring bytes.
    for (const at of underWay.map(endMs)) {
      const arriving = underWay.filter((get) => firstMs(get) < at && endMs(get) >= at).length;
      arrivingMax = Math.max(arrivingMax, arriving);
    }
  };
  /** When the last byte of a READ is there. */
  const arrivalMs = ({ start, end }: Span): number => {
    let last = 0;
    for (let at = start; at < end;) {
      const get = covers(at);
      if (get === undefined) throw new Error(`nothing fetches the byte at ${at}`);
      const to = Math.min(get.end, end);
      last = Math.max(last, get.beganMs + link.firstByteMs + (to - get.start) / link.bytesPerMs);
      at = to;
    }
    return last;
  };
  const tellPace = (): void => {
    for (const get of gets) {
      if (get.told || endMs(get) > nowMs) continue;
      get.told = true;
      const restMs = (get.end - get.start) / link.bytesPerMs;
      pace.observe({ firstByteMs: link.firstByteMs, restBytes: get.end - get.start, restMs }, 0);
    }
  };
  const issue = (read: Span): void => {
    tellPace();
    let missing = false;
    for (let at = read.start; at < read.end && !missing; at = covers(at)?.end ?? at)
      missing = covers(at) === undefined;
    const plan = window.observe(read, { windowBytesMax, missing, wanted: pace.wanted });
    for (const span of plan.demand) {
      begin(span);
      window.started(plan.stream, span.end);
    }
    readAhead(plan.stream, plan.ahead);
  };
  const readAhead = (stream: Stream, ahead: readonly Span[]): void => {
    short = undefined;
    for (const span of ahead) {
      if (!hasRoom()) {
        short = stream;
        return;
      }
      begin(span);
      window.started(stream, span.end);
    }
  };

  const pending: Span[] = [];
  let next = 0;
  for (;;) {
    while (pending.length < reads.depth && next < size) {
      const read = { start: next, end: Math.min(next + reads.readBytes, size) };
      next = read.end;
      issue(read);
      pending.push(read);
    }
    if (pending.length === 0) break;
    pending.sort((a, b) => arrivalMs(a) - arrivalMs(b));
    const [soonest] = pending;
    const room = short === undefined ? Infinity : roomMs();
    if (short !== undefined && soonest !== undefined && room < arrivalMs(soonest)) {
      nowMs = room;
      tellPace();
      readAhead(short, window.onward(short, { windowBytesMax, wanted: pace.wanted }));
      continue;
    }
    const [first] = pending.splice(0, 1);
    if (first !== undefined) nowMs = Math.max(nowMs, arrivalMs(first));
  }
  tellPace();
  const bytes = gets.reduce((sum, { start, end }) => sum + end - start, 0);
  return { ms: nowMs, gets: gets.length, bytes, getsMax, arrivingMax };
}
