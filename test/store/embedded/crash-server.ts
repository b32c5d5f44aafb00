/** A server in a process of its own, to be killed: directory in the arguments, port on standard output. */
import { startServer } from './support.js';

const [, , directory] = process.argv;
if (directory === undefined) throw new Error('expected a directory');
const store = await startServer(directory);
process.stdout.write(`${store.port}\n`);
