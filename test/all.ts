/** All tests that need nothing but Node, which is `npm test`. */
import t from 'tap';
import { runSuite } from './suite.js';

await runSuite(t, {
  directory: 'dist/test',
  // One more than the cores of a small machine: those that start and kill programs wait half of their time.
  jobs: 3,
  first: [
    'end-to-end/crash',
    'cli/serve',
    'crash/crash',
    'soak/soak',
    'end-to-end/bad-input',
    'cli/faults',
    'store/embedded/crash',
    'crash/rename-trials',
  ],
});
