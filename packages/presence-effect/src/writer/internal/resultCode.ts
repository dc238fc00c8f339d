/** What a result code of SQLite means to whoever may try again. Of no weight: the writer's thread loads it too. */

/** Another connection is in the way: SQLite's codes for a lock that is held, recovered or contended. */
export const isBusyCode = (code: string): boolean => /^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(code)
