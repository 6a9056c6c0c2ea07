CREATE TABLE log_group_tag (
  group_id INTEGER NOT NULL,
  name     TEXT NOT NULL,
  value    TEXT NOT NULL,
  PRIMARY KEY (group_id, name)
) WITHOUT ROWID;

CREATE TRIGGER log_group_tags_go AFTER DELETE ON log_group BEGIN
  DELETE FROM log_group_tag WHERE group_id = OLD.id;
END;
