/**
 * A database for browser tabs and Node: many SQLite threads on one Tonbo. It starts with {@link open}.
 *
 * @module
 */

export { Connection } from './Connection.ts';
export type { Damage } from './Damage.ts';
export { Database } from './Database.ts';
export { HeddleStoreError, type StoreErrorCode, type StoreErrorDetails } from './HeddleStoreError.ts';
export type { ImportOptions, ImportProgress, ImportResult, ImportSource } from './Importer.ts';
export type { EngineRestart, Role } from './internal/Keeper.ts';
export type { StopOptions } from './internal/Stop.ts';
export { type Durability, open, type OpenOptions, type Recovery } from './open.ts';
export { Query, type QueryOptions } from './Query.ts';
export { type ExecResult, Session } from './Session.ts';
export type { Row, SqlParam, SqlParams, SqlValue } from './SqlValue.ts';
export { sql, type Statement } from './Statement.ts';
export type { ThreadActivity } from './ThreadActivity.ts';
export { Transaction, type TransactionOptions } from './Transaction.ts';
