-- Times are nanoseconds since 1970 of AWS's clock. Attributes, tags and contents are JSON.

CREATE TABLE setting (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE topic (
  id INTEGER PRIMARY KEY,
  account TEXT NOT NULL,
  region TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  attributes TEXT NOT NULL,
  tags TEXT NOT NULL,
  sequence INTEGER NOT NULL,             -- numbers given to messages of a FIFO topic so far
  deleted_subscriptions INTEGER NOT NULL,
  UNIQUE (account, region, name)
);

CREATE TABLE subscription (
  id INTEGER PRIMARY KEY,
  topic INTEGER NOT NULL,
  uuid TEXT NOT NULL,
  owner TEXT NOT NULL,
  protocol TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  attributes TEXT NOT NULL,
  confirmed INTEGER NOT NULL,
  authenticated INTEGER NOT NULL,        -- confirmed by somebody who signed the request
  token TEXT NOT NULL                    -- with which it is, or was, confirmed
);

-- What was published and has not reached all its subscriptions.
CREATE TABLE message (
  id INTEGER PRIMARY KEY,
  content TEXT NOT NULL
);

-- One message on its way to one subscription.
CREATE TABLE delivery (
  subscription INTEGER NOT NULL,
  message INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,             -- that failed
  failure TEXT,                          -- why it was given up: it is on its way to the dead-letter queue
  PRIMARY KEY (subscription, message)
) WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (subscription, due_at, message);
CREATE INDEX delivery_message ON delivery (message);

-- What FIFO topics remember of messages for five minutes.
CREATE TABLE deduplication (
  topic INTEGER NOT NULL,
  id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  until INTEGER NOT NULL,
  PRIMARY KEY (topic, id)
) WITHOUT ROWID;
CREATE INDEX deduplication_until ON deduplication (until);

-- Mail as it would have been sent.
CREATE TABLE mail (
  id INTEGER PRIMARY KEY,
  sent_at INTEGER NOT NULL,
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  subscription_arn TEXT NOT NULL
);
