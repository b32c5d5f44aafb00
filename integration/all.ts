/** All tests with real clients and a real S3 server, which is `npm run integration`. */
import t from 'tap';
import { runSuite } from '../test/suite.js';

await runSuite(t, {
  directory: 'dist/integration',
  // Each has networks of its own, and its client, daemon and store wait for each other.
  jobs: 2,
  first: ['kernel-client', 'kernel-stalls'],
  // Compares CPU with CPU: nothing beside it.
  alone: ['bench'],
});
