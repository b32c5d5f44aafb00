/**
 * fast-check, for test files: a property that fails is told with its seed and path before the file's own timeout ends it without a word. By itself
 * fast-check makes failures smaller for minutes, where a run is long or the failure doesn't come again, and waits for good for a run that hangs.
 */
import fc from 'fast-check';

/** For smaller ones, from the first failure on. */
const SHRINK_MS = 60_000;
/** A run that takes this long hangs: by far more than any takes on a machine that is busy with others. */
const RUN_MS = 120_000;

/** Looks for smaller failures no longer than this after the first. Runs before it have all the time they take. */
export function shrinkFor(limitMs: number): fc.Plugin<unknown> {
  return (index, store) => {
    let limit: fc.PluginInstance<unknown> | undefined;
    return {
      decorateRun: (run) => {
        let next = run;
        const seen = <T extends fc.PreconditionFailure | fc.PropertyFailure | null>(result: T): T => {
          if (result === null || fc.PreconditionFailure.isFailure(result) || limit !== undefined)
            return result;
          // Its time begins now.
          limit = fc.interruptAfterTimeLimit(limitMs)(index, store);
          next = limit.decorateRun?.(run) ?? run;
          return result;
        };
        return (value) => {
          const result = next(value);
          return result instanceof Promise ? result.then(seen) : seen(result);
        };
      },
      onAllRunsComplete: (details) => limit?.onAllRunsComplete?.(details),
    };
  };
}

fc.installGlobalPlugin(shrinkFor(SHRINK_MS));
fc.installGlobalPlugin(fc.timeout(RUN_MS));

export { default } from 'fast-check';
