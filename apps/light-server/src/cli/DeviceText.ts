/** A list of devices, for people. */
import type * as AdminProtocol from "../admin/AdminProtocol.ts"
import * as Quantity from "./Quantity.ts"
import * as TextTable from "./TextTable.ts"

export const render = (devices: AdminProtocol.DeviceList["devices"], nowMillis: number): string => {
  if (devices.length === 0) return "no device has used the account since the server started\n"
  const rows = devices.map(({ client, connections, id, lastSeenAt }) => [
    id,
    Quantity.ago(lastSeenAt, nowMillis),
    client ?? "unknown",
    connections.length === 0 ? "not connected" : connections.join(", ")
  ])
  return `${TextTable.aligned([["device", "last seen", "client", "connections"], ...rows]).join("\n")}\n`
}
