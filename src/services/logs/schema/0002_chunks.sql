-- Events of a stream are stored together, as many as were given together: a busy function prints three lines per
-- invocation, and a row with its index entries for each cost more than the invocation.

CREATE TABLE chunk (
  id        INTEGER PRIMARY KEY NOT NULL,  -- of its first event; the others follow it
  group_id  INTEGER NOT NULL,
  stream_id INTEGER NOT NULL,
  first     INTEGER NOT NULL,  -- timestamp of the first event
  events    INTEGER NOT NULL,
  ingested  INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,  -- what it counts in log_group.stored_bytes
  data      BLOB NOT NULL      -- per event: milliseconds since `first`, a space, bytes of the message, a newline, message
);

CREATE TABLE event_sequence (
  next INTEGER NOT NULL  -- id of the next event; never given twice
);

INSERT INTO chunk
  SELECT id, group_id, stream_id, timestamp, 1, ingested, length(message) + 26,
         CAST('0 ' || length(message) || char(10) || message AS BLOB)
  FROM event;
INSERT INTO event_sequence SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0) + 1;
DROP TABLE event;
CREATE INDEX chunk_by_group ON chunk (group_id, first);
CREATE INDEX chunk_by_stream ON chunk (stream_id, first);
