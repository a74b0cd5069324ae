/** What SQL threads show of themselves. */

/** What one SQL thread does at the moment. */
export interface ThreadActivity {
  /** Its number, from 0. */
  readonly index: number;
  /** A name to show. */
  readonly name: string;
  /**
   * `running` a call, `reserved` by a connection or transaction between its calls, or `idle`; `restarting` while there is no engine.
   */
  readonly state: 'idle' | 'reserved' | 'restarting' | 'running';
  /** The SQL text that runs. */
  readonly sql?: string | undefined;
  /** For how many milliseconds the call has been running. */
  readonly sinceMs?: number | undefined;
  /** How many statements it has run since the engine was started. */
  readonly statements: number;
}
