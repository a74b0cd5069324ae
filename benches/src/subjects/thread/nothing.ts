/** What a thread runs that is only started. */
export function nothing(): void {}

// oxlint-disable-next-line import/no-default-export -- a thread runs a module's default export
export default nothing;
