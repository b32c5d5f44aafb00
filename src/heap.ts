/**
 * Imported first by main.ts, for its effect: while the SDK is evaluated the young generation would grow already, and what it has it
 * keeps (6 MiB more).
 */
import { keepHeapSmall } from './cli/heap.js';

keepHeapSmall(process.versions.node, process.execArgv, process.env['NODE_OPTIONS']);
