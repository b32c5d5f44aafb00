/** Command lines that mount an export, for the clients there are. */

export interface MountTarget {
  /** Name or numeric address that clients reach the server by. */
  readonly host: string;
  readonly nfsPort: number;
  readonly mountPort: number;
  readonly exportPath: string;
  /** True where a portmapper on port 111 tells clients both ports. */
  readonly portmapped: boolean;
  readonly readOnly: boolean;
}

export interface MountLines {
  /** Linux, every port named: works with and without rpcbind. */
  readonly linux: string;
  /** Linux, ports by portmapper; only where there is one. */
  readonly linuxPortmapped?: string;
  readonly macos: string;
}

/** `nolock` because there is no lock manager on the server; `noresvport` spares macOS users root's ports. */
export function mountLines(target: MountTarget): MountLines {
  const { nfsPort, mountPort, exportPath } = target;
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  const access = target.readOnly ? 'ro,' : '';
  const from = quoted(`${host}:${exportPath}`);
  const ports = `port=${nfsPort},mountproto=tcp,mountport=${mountPort}`;
  return {
    linux: `mount -t nfs -o ${access}vers=3,proto=tcp,${ports},nolock ${from} /mnt/s3`,
    ...(target.portmapped
      ? { linuxPortmapped: `mount -t nfs -o ${access}vers=3,nolock ${from} /mnt/s3` }
      : {}),
    macos: `mount_nfs -o ${access}vers=3,tcp,port=${nfsPort},mountport=${mountPort},nolocks,noresvport ${from} /mnt/s3`,
  };
}

/** For a POSIX shell. */
function quoted(word: string): string {
  return /^[\w./:@%+=,[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
