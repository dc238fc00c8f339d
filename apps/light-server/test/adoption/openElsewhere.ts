/**
 * Holds a database open in a process of its own, with rows in the log that are not checkpointed. Ends when its standard
 * input does. Argument: the file.
 */
import Sqlite from "better-sqlite3"

const sqlite = new Sqlite(process.argv[2])
sqlite.exec(`PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
  INSERT INTO SessionMessage (id, sessionId, seq, content, createdAt, updatedAt)
  SELECT 'late', 's1', 99, '{}', createdAt, updatedAt FROM Session WHERE id = 's1'`)
process.stdout.write("ready\n")
process.stdin.resume().on("end", () => process.exit(0))
