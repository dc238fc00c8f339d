-- Which server keeps a row online, where several share the database.
ALTER TABLE "Session" ADD COLUMN "servedBy" TEXT COLLATE "C";
ALTER TABLE "Machine" ADD COLUMN "servedBy" TEXT COLLATE "C";

-- CreateTable: the leases of the servers, by the clock of the database
CREATE TABLE "Replica" (
    "epoch" TEXT COLLATE "C" NOT NULL,
    "startedAt" BIGINT NOT NULL,
    "beatAt" BIGINT NOT NULL,

    CONSTRAINT "Replica_pkey" PRIMARY KEY ("epoch")
) WITH (fillfactor = 50);

-- CreateIndex: the rows of a server that is gone. A heartbeat writes the mark that is there already.
CREATE INDEX "presence_Session_servedBy_idx" ON "Session"("servedBy") WHERE "active";
CREATE INDEX "presence_Machine_servedBy_idx" ON "Machine"("servedBy") WHERE "active";
