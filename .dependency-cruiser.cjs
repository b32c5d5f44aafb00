/** The direction of imports (docs/ARCHITECTURE.md): main, cli -> rpc, nfs3, mount3, portmap -> fs -> read, write -> store, state. */
const only = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: from },
  to: { path: '^(src|protocol|config)/', pathNot: allowed },
});

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'not-to-dev-dep',
      severity: 'error',
      from: { path: '^(src|protocol|config)/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
    only('protocol-is-pure', '^protocol/', '^protocol/'),
    only('config-stands-alone', '^config/', '^config/'),
    only('cancel-is-a-leaf', '^src/cancel/', '^src/cancel/'),
    only('memory-is-a-leaf', '^src/memory/', '^src/memory/'),
    only('telemetry-is-a-leaf', '^src/telemetry/', '^src/telemetry/'),
    only('state-is-a-leaf', '^src/state/', '^src/(state|memory|telemetry)/'),
    // How sizes, times and speeds are written is the same in a fault plan as in an option.
    only(
      'store-below-all',
      '^src/store/',
      '^(src/(store|memory|cancel|telemetry)/|config/(quantities|shaping))',
    ),
    only('read-on-store', '^src/read/', '^src/(read|store|state|memory|cancel|telemetry)/'),
    only('write-on-store', '^src/write/', '^src/((write|store|state|memory|cancel|telemetry)/)'),
    only(
      'fs-knows-no-wire',
      '^src/fs/',
      '^src/(fs|read|write|store/object-store|store/errors|state|memory|cancel|telemetry)',
    ),
    only('rpc-knows-no-files', '^src/rpc/', '^(protocol/|src/(rpc|memory|cancel|telemetry)/)'),
    only('nfs3-on-fs', '^src/nfs3/', '^(protocol/|src/(nfs3|rpc|fs|telemetry)/)'),
    only('mount3-on-fs', '^src/mount3/', '^(protocol/|src/(mount3|rpc|fs|telemetry)/)'),
    only('portmap-on-rpc', '^src/portmap/', '^(protocol/|src/(portmap|rpc|telemetry)/)'),
    {
      name: 'sdk-behind-the-store',
      severity: 'error',
      from: { pathNot: '^src/store/s3/' },
      to: { path: 'node_modules/@(aws-sdk|smithy)/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
