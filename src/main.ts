#!/usr/bin/env node
/** Entry point: the command line's commands, the process's streams and signals, and the exit code. */
// First: before the modules below are evaluated.
import './heap.js';
import { demoCommand } from './cli/demo.js';
import { endProcess } from './cli/end-process.js';
import { proxyCommand } from './cli/proxy.js';
import { run } from './cli/run.js';
import { serveCommand } from './cli/serve.js';
import { shutdownSignal } from './cli/shutdown.js';
import { storeCommand } from './cli/store.js';

// The SDK announces on each start, over eight lines, which Node its future versions will want. What this version wants stands in
// package.json; whoever wants the announcement sets the variable to false.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const code = await run(process.argv.slice(2), [serveCommand, storeCommand, proxyCommand, demoCommand], {
  env: process.env,
  stdout: (line) => void process.stdout.write(`${line}\n`),
  stderr: (line) => void process.stderr.write(`${line}\n`),
  shutdown: shutdownSignal(),
});
// Sockets that a peer keeps open must not keep a drained daemon alive. Pipes, files and terminals are written synchronously.
await endProcess(code);
