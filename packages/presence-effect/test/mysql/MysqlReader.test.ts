import * as MysqlReader from "../../src/mysql/MysqlReader.ts"
import { describeMysql, makeMysql } from "../support/mysqlWorld.ts"
import { readerSuite } from "../support/readerCases.ts"

describeMysql("MysqlReader", () => {
  readerSuite({
    make: makeMysql,
    open: MysqlReader.make,
    one: "SELECT CAST(? AS SIGNED) AS one",
    slow: "SELECT SLEEP(60)",
    tooSlow: "Lost"
  })
})
