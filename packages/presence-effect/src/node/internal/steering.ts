const steering = new RegExp(
  /^(?:[\s;]|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*/.source +
    /(?:BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA|ATTACH|DETACH|VACUUM)\b/.source,
  "i"
)

/** Whether a statement would end the transaction it runs in, or change the connection for those after it. */
export const steersConnection = (sql: string): boolean => steering.test(sql)
