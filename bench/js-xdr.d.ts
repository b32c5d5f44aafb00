/** As much of @stellar/js-xdr 3.x as the comparison uses; the package has no types of its own. */
declare module '@stellar/js-xdr' {
  /** A value of a type that was made; structs have a method for each field, unions `value()`. */
  export interface XdrValue {
    toXDR(): Buffer;
  }

  /** A type that was made. Enums and unions have a method for each member, structs a constructor. */
  export interface XdrType {
    new (fields: Readonly<Record<string, unknown>>): XdrValue;
    fromXDR(bytes: Buffer): XdrValue;
    readonly [member: string]: unknown;
  }

  export interface TypeBuilder {
    uint(): unknown;
    uhyper(): unknown;
    bool(): unknown;
    void(): unknown;
    opaque(length: number): unknown;
    varOpaque(max: number): unknown;
    option(type: unknown): unknown;
    lookup(name: string): unknown;
    enum(name: string, members: Readonly<Record<string, number>>): void;
    struct(name: string, fields: readonly (readonly [string, unknown])[]): void;
    union(
      name: string,
      options: {
        readonly switchOn: unknown;
        readonly switchName: string;
        readonly switches: readonly (readonly [string, unknown])[];
        readonly arms: Readonly<Record<string, unknown>>;
      },
    ): void;
  }

  export interface Hyper {
    readonly low: number;
    readonly high: number;
  }

  const library: {
    config(define: (types: TypeBuilder) => void): Readonly<Record<string, XdrType>>;
    readonly UnsignedHyper: new (value: bigint) => Hyper;
  };
  export default library;
}
