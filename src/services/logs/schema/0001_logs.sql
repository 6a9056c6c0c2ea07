-- Times are milliseconds since 1970-01-01T00:00:00Z on AWS's clock, the unit of the API.

CREATE TABLE log_group (
  id             INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,  -- never given twice: rows of a deleted group stay a while
  account        TEXT NOT NULL,
  region         TEXT NOT NULL,
  name           TEXT NOT NULL,
  created_at     INTEGER NOT NULL,
  retention_days INTEGER,           -- NULL: for ever
  stored_bytes   INTEGER NOT NULL,  -- sum over its events of the message and 26 bytes
  UNIQUE (account, region, name)
);

CREATE TABLE log_stream (
  id              INTEGER PRIMARY KEY NOT NULL,
  group_id        INTEGER NOT NULL,
  name            TEXT NOT NULL,
  created_at      INTEGER NOT NULL,
  first_event     INTEGER,
  last_event      INTEGER,
  last_ingestion  INTEGER,
  UNIQUE (group_id, name)
);

CREATE TABLE event (
  id        INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,  -- also the order of events of one millisecond
  group_id  INTEGER NOT NULL,
  stream_id INTEGER NOT NULL,
  timestamp INTEGER NOT NULL,
  ingested  INTEGER NOT NULL,
  message   BLOB NOT NULL  -- UTF-8; a blob, so that length() does not read it
);
CREATE INDEX event_by_group ON event (group_id, timestamp);
CREATE INDEX event_by_stream ON event (stream_id, timestamp);

-- Deleted groups whose events are still there. Each later write removes some.
CREATE TABLE dead_group (
  id INTEGER PRIMARY KEY NOT NULL
);
