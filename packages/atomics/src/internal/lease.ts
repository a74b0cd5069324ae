/**
 * How long a view may be used: as long as the lock is held under which it was had.
 *
 * Whoever hands out views of one place makes one lease for them, and revokes it before the lock is let go of. All views that are
 * reached through one view have its lease.
 */
import { ReadonlyViewError, ViewRevokedError } from '../errors.ts';

/** The right to use views of one place. */
export class Lease {
  #isLive = true;
  readonly #mayWrite: boolean;

  /** @param mayWrite whether the views may be written to */
  constructor(mayWrite: boolean) {
    this.#mayWrite = mayWrite;
  }

  /** @throws ViewRevokedError `VIEW_REVOKED` if the lock was let go of */
  checkRead(): void {
    if (!this.#isLive) throw new ViewRevokedError('reading guarded data');
  }

  /**
   * @throws ViewRevokedError `VIEW_REVOKED` if the lock was let go of
   * @throws ReadonlyViewError `VIEW_READONLY` if the views are for reading
   */
  checkWrite(): void {
    if (!this.#isLive) throw new ViewRevokedError('writing guarded data');
    if (!this.#mayWrite) throw new ReadonlyViewError();
  }

  /** Ends the use of every view. */
  revoke(): void {
    this.#isLive = false;
  }
}
