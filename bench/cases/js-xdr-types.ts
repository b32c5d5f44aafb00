/** READ3res, READDIRPLUS3res and WRITE3args (RFC 1813 3.3) for @stellar/js-xdr: what protocol/nfs3 has, said in its way. */
import xdr, { type Hyper, type TypeBuilder, type XdrType, type XdrValue } from '@stellar/js-xdr';
import { DATA_BYTES_MAX, FILENAME_BYTES_MAX, NFS3_FHSIZE } from '../../protocol/nfs3/types.js';

const TYPES = xdr.config((types) => {
  const { lookup, uint, uhyper, option } = bound(types);
  types.enum('nfsstat3', { NFS3_OK: 0, NFS3ERR_IO: 5 });
  types.enum('ftype3', { NF3REG: 1, NF3DIR: 2 });
  types.enum('stable_how', { UNSTABLE: 0, DATA_SYNC: 1, FILE_SYNC: 2 });
  const handle = types.varOpaque(NFS3_FHSIZE);
  const attributes = option(lookup('fattr3'));
  types.struct('nfstime3', [
    ['seconds', uint()],
    ['nseconds', uint()],
  ]);
  types.struct('specdata3', [
    ['specdata1', uint()],
    ['specdata2', uint()],
  ]);
  types.struct('fattr3', [
    ['type', lookup('ftype3')],
    ['mode', uint()],
    ['nlink', uint()],
    ['uid', uint()],
    ['gid', uint()],
    ['size', uhyper()],
    ['used', uhyper()],
    ['rdev', lookup('specdata3')],
    ['fsid', uhyper()],
    ['fileid', uhyper()],
    ['atime', lookup('nfstime3')],
    ['mtime', lookup('nfstime3')],
    ['ctime', lookup('nfstime3')],
  ]);
  types.struct('READ3resok', [
    ['fileAttributes', attributes],
    ['count', uint()],
    ['eof', types.bool()],
    ['data', types.varOpaque(DATA_BYTES_MAX)],
  ]);
  types.struct('entryplus3', [
    ['fileid', uhyper()],
    ['name', types.varOpaque(FILENAME_BYTES_MAX)],
    ['cookie', uhyper()],
    ['nameAttributes', attributes],
    ['nameHandle', option(handle)],
    ['nextentry', option(lookup('entryplus3'))],
  ]);
  types.struct('READDIRPLUS3resok', [
    ['dirAttributes', attributes],
    ['cookieverf', types.opaque(8)],
    ['entries', option(lookup('entryplus3'))],
    ['eof', types.bool()],
  ]);
  for (const name of ['READ3res', 'READDIRPLUS3res']) {
    types.union(name, {
      switchOn: lookup('nfsstat3'),
      switchName: 'status',
      switches: [
        ['NFS3_OK', 'resok'],
        ['NFS3ERR_IO', types.void()],
      ],
      arms: { resok: lookup(`${name}ok`) },
    });
  }
  types.struct('WRITE3args', [
    ['file', handle],
    ['offset', uhyper()],
    ['count', uint()],
    ['stable', lookup('stable_how')],
    ['data', types.varOpaque(DATA_BYTES_MAX)],
  ]);
});

/** The type of this name. */
export function jsXdrType(name: string): XdrType {
  const type = TYPES[name];
  if (type === undefined) throw new Error(`no type ${name}`);
  return type;
}

/** A struct. */
export function made(name: string, fields: Readonly<Record<string, unknown>>): XdrValue {
  return new (jsXdrType(name))(fields);
}

/** An enum's or union's member. */
export function member(name: string, which: string, value?: unknown): XdrValue {
  const make = jsXdrType(name)[which] as (value?: unknown) => XdrValue;
  return make(value);
}

export function hyper(value: bigint): Hyper {
  return new xdr.UnsignedHyper(value);
}

/** Methods that may be called by themselves. */
function bound(types: TypeBuilder): Pick<TypeBuilder, 'lookup' | 'uint' | 'uhyper' | 'option'> {
  return {
    lookup: (name) => types.lookup(name),
    uint: () => types.uint(),
    uhyper: () => types.uhyper(),
    option: (type) => types.option(type),
  };
}
