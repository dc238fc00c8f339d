/** The tests of a project that needs PostgreSQL. With `REQUIRE_SERVICES` the run fails before, where there is none. */
import { beforeEach, inject } from "vitest"

beforeEach(({ skip }) => skip(inject("postgresUrl") === undefined, "there is no PostgreSQL"))
