import * as Lane from "../../src/writer/Lane.ts"
import * as WriterError from "../../src/writer/WriterError.ts"

const lane = Lane.control
const engine = { lane, code: "SQLITE_X", detail: "SELECT secret FROM Hidden" }

/** One error of each kind. A new one does not compile until it is here. */
export const writerErrors: {
  readonly [Tag in WriterError.WriterError["_tag"]]: Extract<WriterError.WriterError, { readonly _tag: Tag }>
} = {
  LaneOverflow: new WriterError.LaneOverflow({ lane, waiterCount: 1, capacity: 1 }),
  PermitTimeout: new WriterError.PermitTimeout({ lane, waitedMillis: 1 }),
  NestedPermit: new WriterError.NestedPermit({ lane, holder: lane }),
  DatabaseBusy: new WriterError.DatabaseBusy({ lane, code: "SQLITE_BUSY", attempts: 2 }),
  WriteUnconfirmed: new WriterError.WriteUnconfirmed({ lane, reason: "hold-limit", heldMillis: 1 }),
  WriteConflict: new WriterError.WriteConflict({ lane, statement: 0, expected: 1, changed: 0 }),
  WriteRejected: new WriterError.WriteRejected(engine),
  WriteUndecodable: new WriterError.WriteUndecodable({ lane, detail: engine.detail }),
  ConnectionLost: new WriterError.ConnectionLost({ lane, detail: engine.detail }),
  ConnectionGone: new WriterError.ConnectionGone({ lane, detail: engine.detail }),
  DatabaseFull: new WriterError.DatabaseFull(engine),
  DatabaseReadonly: new WriterError.DatabaseReadonly(engine),
  DatabaseIo: new WriterError.DatabaseIo({ ...engine, written: "unknown" }),
  DatabaseCorrupt: new WriterError.DatabaseCorrupt(engine),
  DatabaseMoved: new WriterError.DatabaseMoved({ lane, detail: engine.detail }),
  WriterClosed: new WriterError.WriterClosed({ lane })
}
