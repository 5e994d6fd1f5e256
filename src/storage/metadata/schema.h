// The tables of the catalog. Every key but the save's starts with the organisation, so that the
// catalog can be partitioned by it. Times are milliseconds of the catalog's clock.
//
// What stands here is never edited once released: a new version is a new step, and every catalog
// goes through the steps that it lacks, a fresh one through all.
#pragma once

namespace cedana::metadata {

inline constexpr int kSchemaVersion = 3;
// Catalogs below were judged by other rules: what they owe is found anew when they are opened.
inline constexpr int kJudgedSince = 3;

inline constexpr char kSchemaStep1[] = R"sql(
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES('sequence', 0), ('fencing', 0);

CREATE TABLE organisations(
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  wrapped_key BLOB NOT NULL,
  created_ms INTEGER NOT NULL) WITHOUT ROWID;

-- organisation is null for an operator's token.
CREATE TABLE tokens(
  id TEXT PRIMARY KEY,
  organisation BLOB REFERENCES organisations(id),
  hash BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  revoked_ms INTEGER) WITHOUT ROWID;

-- The id is unique among all organisations, because it is the prefix of the save's object keys.
-- grants_until_ms: no grant of this save is good after it. swept: 0, 1 or 2 sweeps done.
CREATE TABLE saves(
  id BLOB PRIMARY KEY,
  organisation BLOB NOT NULL REFERENCES organisations(id),
  checkpoint BLOB NOT NULL,
  path TEXT NOT NULL,
  state INTEGER NOT NULL,
  fencing INTEGER NOT NULL,
  lease_until_ms INTEGER NOT NULL,
  grants_until_ms INTEGER NOT NULL,
  ended_ms INTEGER,
  swept INTEGER NOT NULL DEFAULT 0,
  sweep_due_ms INTEGER) WITHOUT ROWID;
CREATE INDEX saves_by_path ON saves(organisation, path) WHERE state = 0;
CREATE INDEX saves_by_sweep ON saves(sweep_due_ms) WHERE swept < 2;

-- hidden_ms: deleted by its owner; the row goes when its objects are gone.
-- packs: one format byte (1 = plain), then 16 bytes per pack. Pack ids are random, so compressing
-- them would gain nothing.
CREATE TABLE checkpoints(
  organisation BLOB NOT NULL REFERENCES organisations(id),
  id BLOB NOT NULL,
  save BLOB NOT NULL,
  path TEXT NOT NULL,
  sequence INTEGER NOT NULL UNIQUE,
  created_ms INTEGER NOT NULL,
  image_bytes INTEGER NOT NULL,
  stored_bytes INTEGER NOT NULL,
  new_bytes INTEGER NOT NULL,
  codec TEXT NOT NULL,
  durability TEXT NOT NULL,
  job_id TEXT NOT NULL,
  job_name TEXT NOT NULL,
  facts TEXT NOT NULL,
  manifest_sha256 BLOB NOT NULL,
  manifest_bytes INTEGER NOT NULL,
  manifest_providers TEXT NOT NULL,
  hidden_ms INTEGER,
  packs BLOB NOT NULL,
  PRIMARY KEY(organisation, id));
CREATE UNIQUE INDEX checkpoints_by_path ON checkpoints(organisation, path)
  WHERE hidden_ms IS NULL;
CREATE INDEX checkpoints_by_sequence ON checkpoints(organisation, sequence);
CREATE INDEX checkpoints_by_job ON checkpoints(organisation, job_id, sequence)
  WHERE hidden_ms IS NULL;
CREATE INDEX checkpoints_hidden ON checkpoints(hidden_ms) WHERE hidden_ms IS NOT NULL;

CREATE TABLE packs(
  organisation BLOB NOT NULL REFERENCES organisations(id),
  id BLOB NOT NULL,
  save BLOB NOT NULL,
  bytes INTEGER NOT NULL,
  crc32c INTEGER NOT NULL,
  key_epoch INTEGER NOT NULL,
  state INTEGER NOT NULL,
  since_ms INTEGER NOT NULL,
  PRIMARY KEY(organisation, id)) WITHOUT ROWID;
CREATE INDEX packs_by_state ON packs(state, since_ms) WHERE state > 0;
CREATE INDEX packs_by_save ON packs(save);

CREATE TABLE shards(
  organisation BLOB NOT NULL,
  pack BLOB NOT NULL,
  provider TEXT NOT NULL,
  seen_ms INTEGER NOT NULL,
  PRIMARY KEY(organisation, pack, provider),
  FOREIGN KEY(organisation, pack) REFERENCES packs(organisation, id) ON DELETE CASCADE)
  WITHOUT ROWID;

-- Holds: a restore, a tar view or a dump that refers to a parent, each on one checkpoint.
CREATE TABLE holds(
  organisation BLOB NOT NULL,
  lease BLOB NOT NULL,
  checkpoint BLOB NOT NULL,
  expires_ms INTEGER NOT NULL,
  PRIMARY KEY(organisation, lease)) WITHOUT ROWID;
CREATE INDEX holds_by_checkpoint ON holds(organisation, checkpoint);

-- Commits whose record is not in the object stores yet.
CREATE TABLE commit_records(
  sequence INTEGER PRIMARY KEY,
  organisation BLOB NOT NULL,
  checkpoint BLOB NOT NULL);
)sql";

// Many providers: which there are, what an organisation wants of them, what is missing.
inline constexpr char kSchemaStep2[] = R"sql(
-- state: 0 active, 1 draining (read, not written), 2 lost. The url holds no secret.
CREATE TABLE providers(
  name TEXT PRIMARY KEY,
  url TEXT NOT NULL,
  domain TEXT NOT NULL,
  state INTEGER NOT NULL,
  added_ms INTEGER NOT NULL,
  since_ms INTEGER NOT NULL) WITHOUT ROWID;

-- No row: copies = min(2, failure domains), ack the same.
CREATE TABLE policies(
  organisation BLOB PRIMARY KEY REFERENCES organisations(id),
  copies INTEGER NOT NULL,
  ack INTEGER NOT NULL) WITHOUT ROWID;

-- state: 0 live (listed or read back), 1 damaged, 2 acknowledged (not seen by the service yet).
ALTER TABLE shards ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
CREATE INDEX shards_by_provider ON shards(provider);

-- Where a manifest's copies are; takes the place of checkpoints.manifest_providers.
CREATE TABLE manifest_shards(
  organisation BLOB NOT NULL,
  checkpoint BLOB NOT NULL,
  provider TEXT NOT NULL,
  seen_ms INTEGER NOT NULL,
  state INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(organisation, checkpoint, provider),
  FOREIGN KEY(organisation, checkpoint) REFERENCES checkpoints(organisation, id)
    ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX manifest_shards_by_provider ON manifest_shards(provider);
WITH RECURSIVE split(organisation, checkpoint, seen_ms, provider, rest) AS (
  SELECT organisation, id, created_ms, '', manifest_providers || ',' FROM checkpoints
  UNION ALL
  SELECT organisation, checkpoint, seen_ms, SUBSTR(rest, 1, INSTR(rest, ',') - 1),
         SUBSTR(rest, INSTR(rest, ',') + 1) FROM split WHERE rest <> '')
INSERT OR IGNORE INTO manifest_shards
  SELECT organisation, checkpoint, provider, seen_ms, 0 FROM split WHERE provider <> '';
ALTER TABLE checkpoints DROP COLUMN manifest_providers;
CREATE INDEX checkpoints_by_save ON checkpoints(save);

-- What lacks copies. kind: 0 pack, 1 manifest. live: failure domains in which it can be read.
-- due_ms: not looked at before; a worker that claims the row moves it on, so that a claim ends by
-- itself.
CREATE TABLE debts(
  organisation BLOB NOT NULL,
  kind INTEGER NOT NULL,
  id BLOB NOT NULL,
  live INTEGER NOT NULL,
  since_ms INTEGER NOT NULL,
  due_ms INTEGER NOT NULL DEFAULT 0,
  tries INTEGER NOT NULL DEFAULT 0,
  worker TEXT,
  PRIMARY KEY(organisation, kind, id)) WITHOUT ROWID;
CREATE INDEX debts_by_urgency ON debts(live, since_ms);

-- What one provider could not do when it was asked. kind: 0 delete the object, 1 write the commit
-- record, 2 sweep the save whose prefix the key is.
CREATE TABLE chores(
  provider TEXT NOT NULL,
  key TEXT NOT NULL,
  kind INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  since_ms INTEGER NOT NULL,
  PRIMARY KEY(provider, key)) WITHOUT ROWID;
)sql";

// Who this catalog is. Told to the providers (storage/replica/owner.h), so a backup of an older
// catalog must bring the same id: one that has an organisation is named by that of the first start.
inline constexpr char kSchemaStep3[] = R"sql(
CREATE TABLE vault(id BLOB NOT NULL);
INSERT INTO vault SELECT id FROM organisations WHERE name = 'default';

-- Manifests want as many copies as packs from here on (before: two at most): see kJudgedSince.

-- Names of providers that are none any more. A commit or a repair that was under way may still write
-- rows of shards under such a name, which say nothing about another provider of that name. Those
-- that are there already go; a catalog of version 1 knows its providers by these rows only.
CREATE TABLE forgotten_providers(name TEXT PRIMARY KEY) WITHOUT ROWID;
DELETE FROM shards WHERE EXISTS (SELECT 1 FROM providers) AND
  provider NOT IN (SELECT name FROM providers);
DELETE FROM manifest_shards WHERE EXISTS (SELECT 1 FROM providers) AND
  provider NOT IN (SELECT name FROM providers);
)sql";

}  // namespace cedana::metadata
