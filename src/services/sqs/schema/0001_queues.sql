-- Times are nanoseconds since 1970-01-01T00:00:00Z on the clock of the service.

CREATE TABLE setting (
  name  TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
);

CREATE TABLE queue (
  id          INTEGER PRIMARY KEY NOT NULL,
  account     TEXT NOT NULL,
  region      TEXT NOT NULL,
  name        TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  modified_at INTEGER NOT NULL,
  attributes  TEXT NOT NULL,     -- JSON: those that were set
  tags        TEXT NOT NULL,     -- JSON
  purge_floor INTEGER NOT NULL,  -- messages with a lower id were purged, even where their rows are still there
  purged_at   INTEGER,
  UNIQUE (account, region, name)
);

-- A name may not be used again for 60 seconds.
CREATE TABLE deleted_queue (
  account    TEXT NOT NULL,
  region     TEXT NOT NULL,
  name       TEXT NOT NULL,
  deleted_at INTEGER NOT NULL,
  PRIMARY KEY (account, region, name)
);

-- What a sender gave; written once. A row whose queue is gone or that lies below its queue's purge_floor is dead.
CREATE TABLE message (
  id                 INTEGER PRIMARY KEY NOT NULL,
  queue_id           INTEGER NOT NULL,
  message_id         BLOB NOT NULL,
  sent_at            INTEGER NOT NULL,
  available_at       INTEGER NOT NULL,  -- until its first receive; then delivery.available_at
  sender_id          TEXT NOT NULL,
  md5_of_body        BLOB NOT NULL,
  body               TEXT NOT NULL,
  attributes         TEXT,              -- JSON
  trace_header       TEXT,
  group_id           TEXT,
  dead_letter_source TEXT               -- ARN of the queue it was moved from
);

-- What receiving changes; apart from `message`, so that a receive never rewrites a body. Absent until the first receive.
CREATE TABLE delivery (
  message           INTEGER PRIMARY KEY NOT NULL,
  receive_count     INTEGER NOT NULL,
  first_received_at INTEGER NOT NULL,
  received_at       INTEGER NOT NULL,
  available_at      INTEGER NOT NULL
);
