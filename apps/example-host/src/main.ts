/** `FLEET_FILE=fleet.sqlite PORT=3100 node dist/main.js` */
import * as FleetServer from "./FleetServer.ts"

const app = await FleetServer.make(process.env["FLEET_FILE"] ?? "fleet.sqlite")
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => app.close())
await app.listen({ port: Number(process.env["PORT"] ?? 3100) })
