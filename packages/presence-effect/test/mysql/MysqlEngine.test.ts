import * as Effect from "effect/Effect"
import * as MysqlEngine from "../../src/mysql/MysqlEngine.ts"
import { engineSuite, schema } from "../support/engineCases.ts"
import { describeMysql, makeMysql } from "../support/mysqlWorld.ts"

/** The server looks anew at what waits only a tenth of a second after it was last asked. */
const waiting = `SELECT trx_mysql_thread_id AS id, SLEEP(0.15) FROM information_schema.innodb_trx
  JOIN information_schema.processlist ON processlist.id = trx_mysql_thread_id
  WHERE trx_state = 'LOCK WAIT' AND db = DATABASE()`

describeMysql("MysqlEngine", () => {
  engineSuite({
    name: "MariaDB",
    make: Effect.map(makeMysql(schema), ({ connect, query, url }) => ({
      url,
      port: Number(new URL(url).port),
      query,
      session: async () => {
        const client = await connect()
        return (sql: string) => client.query(sql)
      },
      terminate: async () => {
        for (const { id } of await query(waiting)) await query(`KILL CONNECTION ${Number(id)}`)
      },
      awaitWaiting: async () => {
        while ((await query(waiting)).length === 0) await query("SELECT SLEEP(0.15)")
      }
    })),
    open: (url, connections) => MysqlEngine.make({ url, ...(connections === undefined ? {} : { connections }) }),
    text: (sql) => sql,
    hold: "UPDATE parent SET name = 'held' WHERE id = 1"
  })
})
