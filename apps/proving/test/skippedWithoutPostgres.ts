/** Skips the tests of a project where there is no PostgreSQL. With `REQUIRE_SERVICES` the run fails before that. */
import { beforeEach, inject } from "vitest"

beforeEach(({ skip }) => skip(inject("postgresUrl") === undefined, "there is no PostgreSQL"))
