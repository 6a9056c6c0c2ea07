ALTER TABLE message ADD COLUMN deduplication_id TEXT;  -- FIFO queues

-- "N ID": ReceiveRequestAttemptId of the last receive and how many messages it had.
ALTER TABLE delivery ADD COLUMN attempt TEXT;

-- What FIFO queues accepted in the last five minutes; outlives the message.
CREATE TABLE deduplication (
  id               INTEGER PRIMARY KEY NOT NULL,  -- message.id when it was accepted
  queue_id         INTEGER NOT NULL,
  message_id       BLOB NOT NULL,
  sent_at          INTEGER NOT NULL,
  group_id         TEXT NOT NULL,
  deduplication_id TEXT NOT NULL
);

CREATE TABLE move_task (
  id           INTEGER PRIMARY KEY NOT NULL,
  task_id      TEXT NOT NULL,     -- in the handle
  source       TEXT NOT NULL,     -- ARN
  destination  TEXT,              -- ARN; null: where each message came from
  per_second   INTEGER,           -- null: no limit
  status       TEXT NOT NULL,     -- as ListMessageMoveTasks shows it
  failure      TEXT,
  started_at   INTEGER NOT NULL,
  to_move      INTEGER NOT NULL,
  moved        INTEGER NOT NULL
);
