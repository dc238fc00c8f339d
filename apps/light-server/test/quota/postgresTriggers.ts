/**
 * The functions and triggers that keep the totals of accounts in PostgreSQL, as the migrations have to define them for
 * the tables of `CountedTable`.
 *
 * `presence_quota_add` stands in the migration only: it has nothing of the tables that count.
 */
import * as CountedTable from "../../src/quota/CountedTable.ts"

const isCounted = `WHEN (current_setting('presence_quota.counts', true) IS DISTINCT FROM 'off')`

const functionOf = (name: string, declare: string, body: string) =>
  `CREATE FUNCTION "${name}"() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  ${declare}
BEGIN
${body}
  RETURN NULL;
END
$$;`

const sizeOf = (table: CountedTable.CountedTable, row: "NEW" | "OLD") =>
  CountedTable.sizeOf(table, row).replaceAll(" + ", "\n    + ")

const added = ({ isEnd, ownerOf }: CountedTable.CountedTable) => `  IF TG_OP = 'INSERT' THEN
    PERFORM presence_quota_add(${ownerOf("NEW")}, after, 1, '${isEnd ? "none" : "new"}');
    RETURN NULL;
  END IF;`

const moved = ({
  ownerColumn,
  ownerOf
}: CountedTable.CountedTable) => `  IF OLD."${ownerColumn}" <> NEW."${ownerColumn}" THEN
    PERFORM presence_quota_add(${ownerOf("OLD")}, -before, -1, 'none');
    PERFORM presence_quota_add(${ownerOf("NEW")}, after, 1, 'none');
    RETURN NULL;
  END IF;`

const changed = ({ ownerOf }: CountedTable.CountedTable) => `  IF before <> after THEN
    PERFORM presence_quota_add(${ownerOf("NEW")}, after - before, 0, 'grown');
  END IF;`

const rowFunction = (table: CountedTable.CountedTable) => {
  const { hasRows, table: name } = table
  return functionOf(
    `presence_quota_${name}`,
    `before BIGINT;\n  after BIGINT := ${sizeOf(table, "NEW")};`,
    [
      ...(hasRows ? [added(table)] : []),
      `  before := ${sizeOf(table, "OLD")};`,
      ...(hasRows ? [moved(table)] : []),
      changed(table)
    ].join("\n")
  )
}

/** Once for a statement, however many rows it deletes. */
const goneFunction = (table: CountedTable.CountedTable) => {
  const { ownerColumn, ownerOf, table: name } = table
  const size = CountedTable.sizeOf(table, "item").replaceAll(" + ", "\n        + ")
  return functionOf(
    `presence_quota_${name}_gone`,
    "part RECORD;",
    `  FOR part IN
    SELECT ${ownerOf("sums")} AS "owner", sum("bytes")::bigint AS "bytes", sum("rows")::bigint AS "rows"
    FROM (
      SELECT item."${ownerColumn}", count(*) AS "rows", sum(${size}) AS "bytes"
      FROM gone AS item GROUP BY item."${ownerColumn}"
    ) AS sums GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM presence_quota_add(part."owner", -part."bytes", -part."rows", 'none');
  END LOOP;`
  )
}

const triggersOf = (table: CountedTable.CountedTable): ReadonlyArray<string> => {
  const { columns, hasRows, ownerColumn } = table
  const name = `presence_quota_${table.table}`
  const on = `ON "${table.table}"`
  const watched = [...columns, ...(hasRows ? [ownerColumn] : [])].map((column) => `"${column}"`).join(", ")
  const row = `FOR EACH ROW ${isCounted} EXECUTE FUNCTION "${name}"();`
  const updated = `CREATE TRIGGER "presence_quota_update" AFTER UPDATE OF ${watched} ${on}\n  ${row}`
  if (!hasRows) return [rowFunction(table), updated]
  return [
    rowFunction(table),
    goneFunction(table),
    `CREATE TRIGGER "presence_quota_insert" AFTER INSERT ${on}\n  ${row}`,
    updated,
    `CREATE TRIGGER "presence_quota_delete" AFTER DELETE ${on} REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT ${isCounted} EXECUTE FUNCTION "${name}_gone"();`
  ]
}

/** One definition per entry. */
export const definitions: ReadonlyArray<string> = CountedTable.tables.flatMap(triggersOf)
