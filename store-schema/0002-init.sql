-- Index of a dlstore store, format 2: the first that this program knows. README.md beside this file explains
-- every column. Numbers of kinds, states and places are read by the program and not checked here, so that a
-- later format can add some without making these tables anew.

-- One row for each file below packs/ (directory 1) and sources/ (directory 2), with what it looked like when its
-- bytes were last known to be right. raw_size: of a layer, the length of its raw tar; of a source 0.
CREATE TABLE file(
  id INTEGER PRIMARY KEY,
  directory INTEGER NOT NULL,
  sha256 BLOB NOT NULL CHECK(length(sha256) = 32),
  size INTEGER NOT NULL,
  device INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  raw_size INTEGER NOT NULL DEFAULT 0,
  UNIQUE(directory, sha256)
) STRICT;

-- Where things come from: made here (an empty signer), or whose signature; and by which generator.
CREATE TABLE origin(
  id INTEGER PRIMARY KEY,
  signer TEXT NOT NULL,
  generator TEXT NOT NULL,
  UNIQUE(signer, generator)
) STRICT;

-- Everything that can be kept or collected. Ids are never used twice.
CREATE TABLE object(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  key BLOB NOT NULL CHECK(length(key) = 32),
  state INTEGER NOT NULL,
  place INTEGER NOT NULL,
  born INTEGER NOT NULL,
  size INTEGER NOT NULL,
  origin INTEGER NOT NULL REFERENCES origin,
  file INTEGER REFERENCES file,
  UNIQUE(kind, key)
) STRICT;
CREATE INDEX object_not_live ON object(state) WHERE state <> 1;
CREATE INDEX object_file ON object(file) WHERE file IS NOT NULL;

CREATE TABLE edge(
  src INTEGER NOT NULL REFERENCES object ON DELETE CASCADE,
  dst INTEGER NOT NULL REFERENCES object,
  PRIMARY KEY(src, dst)
) STRICT, WITHOUT ROWID;
CREATE INDEX edge_dst ON edge(dst);

CREATE TABLE tree(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  raw_size INTEGER NOT NULL,
  data BLOB NOT NULL
) STRICT;

CREATE TABLE fact(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  data BLOB NOT NULL
) STRICT;

CREATE TABLE package(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  source BLOB NOT NULL CHECK(length(source) = 32),
  source_size INTEGER NOT NULL,
  decoder INTEGER NOT NULL,
  given TEXT NOT NULL,
  tree BLOB NOT NULL CHECK(length(tree) = 32),
  facts BLOB NOT NULL,
  format TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  architecture TEXT NOT NULL,
  entries INTEGER NOT NULL,
  content_size INTEGER NOT NULL,
  date INTEGER NOT NULL,
  checksum BLOB NOT NULL
) STRICT;
CREATE INDEX package_source ON package(source);
CREATE INDEX package_name ON package(name);
CREATE INDEX package_tree ON package(tree);

-- Which packages have a name: what a choice by name is made from. A list that is not whole is damage, so that a
-- package that is lost is never taken for one that was never there.
CREATE TABLE name(
  id INTEGER PRIMARY KEY,
  format TEXT NOT NULL,
  name TEXT NOT NULL,
  packages BLOB NOT NULL,
  checksum BLOB NOT NULL,
  UNIQUE(format, name)
) STRICT;

-- Which packages have a library of that name: for hints only.
CREATE TABLE soname(
  name BLOB NOT NULL,
  package INTEGER NOT NULL REFERENCES object ON DELETE CASCADE,
  PRIMARY KEY(name, package)
) STRICT, WITHOUT ROWID;
CREATE INDEX soname_package ON soname(package);

CREATE TABLE pack(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  raw_size INTEGER NOT NULL,
  parts BLOB NOT NULL,
  info BLOB NOT NULL,
  checksum BLOB NOT NULL
) STRICT;

-- names: what the value names, so that a lost edge is seen by who cannot read values.
CREATE TABLE action(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  kind TEXT NOT NULL,
  value BLOB NOT NULL,
  names BLOB NOT NULL,
  checksum BLOB NOT NULL
) STRICT;

-- A blob of OCI: its bytes lie here, or in the file of its object.
CREATE TABLE blob(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  media_type TEXT NOT NULL,
  data BLOB
) STRICT;

CREATE TABLE root(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  set_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL
) STRICT;
CREATE TABLE root_target(
  root INTEGER NOT NULL REFERENCES root ON DELETE CASCADE,
  object INTEGER NOT NULL REFERENCES object,
  PRIMARY KEY(root, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX root_target_object ON root_target(object);

CREATE TABLE lease(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  note TEXT NOT NULL,
  born INTEGER NOT NULL
) STRICT;
CREATE TABLE held(
  lease INTEGER NOT NULL REFERENCES lease ON DELETE CASCADE,
  object INTEGER NOT NULL REFERENCES object,
  PRIMARY KEY(lease, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_object ON held(object);

-- How many live packages have a tree, and the bytes of its content: what counting each content once needs.
CREATE TABLE content(
  tree BLOB PRIMARY KEY,
  packages INTEGER NOT NULL,
  size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts and sums that would take a walk through the tables. Triggers keep them, so that they change in the same
-- transaction as what they count, whoever changes it: a writer, a cascade, a migration.
--   roots               how often roots changed
--   collections         how often a collection marked something
--   journal mark        of the last bytes of roots.journal by the last commit that changed a root
--   journal length      its length in bytes then
--   objects KIND STATE  rows of object
--   root rows           rows of root
--   file bytes N        sum of size of the rows of file of directory N
--   raw bytes           sum of raw_size of the rows of file
--   package content     sum of content_size of the live packages
--   unique content      sum of size of the rows of content
CREATE TABLE counter(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('collections', 0), ('root rows', 0), ('file bytes 1', 0),
  ('file bytes 2', 0), ('raw bytes', 0), ('package content', 0), ('unique content', 0);

CREATE TRIGGER object_added AFTER INSERT ON object BEGIN
  INSERT INTO counter VALUES ('objects ' || NEW.kind || ' ' || NEW.state, 1)
    ON CONFLICT(name) DO UPDATE SET value = value + 1;
END;
CREATE TRIGGER object_removed AFTER DELETE ON object BEGIN
  INSERT INTO counter VALUES ('objects ' || OLD.kind || ' ' || OLD.state, -1)
    ON CONFLICT(name) DO UPDATE SET value = value - 1;
END;
CREATE TRIGGER object_changed AFTER UPDATE OF state ON object WHEN OLD.state <> NEW.state BEGIN
  INSERT INTO counter VALUES ('objects ' || OLD.kind || ' ' || OLD.state, -1)
    ON CONFLICT(name) DO UPDATE SET value = value - 1;
  INSERT INTO counter VALUES ('objects ' || NEW.kind || ' ' || NEW.state, 1)
    ON CONFLICT(name) DO UPDATE SET value = value + 1;
END;

CREATE TRIGGER file_added AFTER INSERT ON file BEGIN
  UPDATE counter SET value = value + NEW.size WHERE name = 'file bytes ' || NEW.directory;
  UPDATE counter SET value = value + NEW.raw_size WHERE name = 'raw bytes';
END;
CREATE TRIGGER file_removed AFTER DELETE ON file BEGIN
  UPDATE counter SET value = value - OLD.size WHERE name = 'file bytes ' || OLD.directory;
  UPDATE counter SET value = value - OLD.raw_size WHERE name = 'raw bytes';
END;
CREATE TRIGGER file_changed AFTER UPDATE OF size, raw_size ON file BEGIN
  UPDATE counter SET value = value + NEW.size - OLD.size WHERE name = 'file bytes ' || NEW.directory;
  UPDATE counter SET value = value + NEW.raw_size - OLD.raw_size WHERE name = 'raw bytes';
END;

CREATE TRIGGER root_added AFTER INSERT ON root BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'root rows';
END;
CREATE TRIGGER root_removed AFTER DELETE ON root BEGIN
  UPDATE counter SET value = value - 1 WHERE name = 'root rows';
END;

-- A package counts while its row is there and its object is live.
CREATE TRIGGER package_added AFTER INSERT ON package
WHEN (SELECT state FROM object WHERE id = NEW.object) = 1 BEGIN
  UPDATE counter SET value = value + NEW.content_size WHERE name = 'package content';
  INSERT INTO content VALUES (NEW.tree, 1, NEW.content_size)
    ON CONFLICT(tree) DO UPDATE SET packages = packages + 1;
END;
CREATE TRIGGER package_removed AFTER DELETE ON package
WHEN (SELECT state FROM object WHERE id = OLD.object) = 1 BEGIN
  UPDATE counter SET value = value - OLD.content_size WHERE name = 'package content';
  UPDATE content SET packages = packages - 1 WHERE tree = OLD.tree;
  DELETE FROM content WHERE tree = OLD.tree AND packages <= 0;
END;
CREATE TRIGGER package_changed AFTER UPDATE OF tree, content_size ON package
WHEN (SELECT state FROM object WHERE id = NEW.object) = 1 BEGIN
  UPDATE counter SET value = value + NEW.content_size - OLD.content_size WHERE name = 'package content';
  UPDATE content SET packages = packages - 1 WHERE tree = OLD.tree;
  DELETE FROM content WHERE tree = OLD.tree AND packages <= 0;
  INSERT INTO content VALUES (NEW.tree, 1, NEW.content_size)
    ON CONFLICT(tree) DO UPDATE SET packages = packages + 1;
END;
CREATE TRIGGER package_revived AFTER UPDATE OF state ON object
WHEN NEW.kind = 3 AND OLD.state <> 1 AND NEW.state = 1 BEGIN
  UPDATE counter SET value = value + coalesce((SELECT content_size FROM package WHERE object = NEW.id), 0)
    WHERE name = 'package content';
  INSERT INTO content SELECT tree, 1, content_size FROM package WHERE object = NEW.id
    ON CONFLICT(tree) DO UPDATE SET packages = packages + 1;
END;
CREATE TRIGGER package_lost AFTER UPDATE OF state ON object
WHEN NEW.kind = 3 AND OLD.state = 1 AND NEW.state <> 1 BEGIN
  UPDATE counter SET value = value - coalesce((SELECT content_size FROM package WHERE object = NEW.id), 0)
    WHERE name = 'package content';
  UPDATE content SET packages = packages - 1 WHERE tree = (SELECT tree FROM package WHERE object = NEW.id);
  DELETE FROM content WHERE tree = (SELECT tree FROM package WHERE object = NEW.id) AND packages <= 0;
END;

CREATE TRIGGER content_added AFTER INSERT ON content BEGIN
  UPDATE counter SET value = value + NEW.size WHERE name = 'unique content';
END;
CREATE TRIGGER content_removed AFTER DELETE ON content BEGIN
  UPDATE counter SET value = value - OLD.size WHERE name = 'unique content';
END;
