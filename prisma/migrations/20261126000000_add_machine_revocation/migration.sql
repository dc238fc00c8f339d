-- AlterTable
ALTER TABLE "Machine" ADD COLUMN "revokedAt" DATETIME;
