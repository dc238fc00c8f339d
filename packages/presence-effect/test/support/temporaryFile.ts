/** Files of a test: the same as in the contract of a connection. */
export { readRows, temporaryDatabase, temporaryDirectory } from "../../src/testing/internal/connectionWorld.ts"
