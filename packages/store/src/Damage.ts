/** Something that opening with `recovery: 'salvage'` went on without. */
export interface Damage {
  /** The damaged file, within the database's directory. */
  readonly file: string;
  /** Where it is kept as it was, within the database's directory; `undefined` where there was no file to keep. */
  readonly copy: string | undefined;
  /** The table, or index, that it concerns; `undefined` where that can't be told. */
  readonly table: string | undefined;
  /** How many rows of the file, or deletes, are left out; `undefined` where that can't be told. */
  readonly rows: number | undefined;
  /** What was wrong, and what is left out. Holds nothing of the rows. */
  readonly message: string;
}
