// The tables of the catalog. Every key but the save's starts with the organisation, so that the
// catalog can be partitioned by it. Times are milliseconds of the catalog's clock.
#pragma once

namespace cedana::metadata {

inline constexpr int kSchemaVersion = 1;

inline constexpr char kSchema[] = R"sql(
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

}  // namespace cedana::metadata
