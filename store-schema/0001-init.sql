-- Index of a dlstore store, version 1. README.md beside this file explains every column.

-- One row for each file below packs/ (folder 1) and sources/ (folder 2).
CREATE TABLE file(
  id INTEGER PRIMARY KEY,
  folder INTEGER NOT NULL CHECK(folder IN (1, 2)),
  sha256 BLOB NOT NULL CHECK(length(sha256) = 32),
  size INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  UNIQUE(folder, sha256)
);

-- Everything that can be kept or collected. Ids are never used twice.
CREATE TABLE object(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL CHECK(kind BETWEEN 1 AND 6),
  key BLOB NOT NULL CHECK(length(key) = 32),
  state INTEGER NOT NULL CHECK(state BETWEEN 1 AND 3),
  born INTEGER NOT NULL,
  size INTEGER NOT NULL,
  file INTEGER REFERENCES file,
  UNIQUE(kind, key)
);
CREATE INDEX object_not_live ON object(state) WHERE state <> 1;
CREATE INDEX object_file ON object(file) WHERE file IS NOT NULL;

CREATE TABLE edge(
  src INTEGER NOT NULL REFERENCES object ON DELETE CASCADE,
  dst INTEGER NOT NULL REFERENCES object,
  PRIMARY KEY(src, dst)
) WITHOUT ROWID;
CREATE INDEX edge_dst ON edge(dst);

CREATE TABLE tree(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  raw_size INTEGER NOT NULL,
  data BLOB NOT NULL
);

CREATE TABLE fact(
  id INTEGER PRIMARY KEY,
  tree INTEGER NOT NULL REFERENCES object ON DELETE CASCADE,
  kind TEXT NOT NULL,
  checksum BLOB NOT NULL,
  data BLOB NOT NULL,
  UNIQUE(tree, kind)
);

CREATE TABLE package(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  source_size INTEGER NOT NULL,
  tree BLOB NOT NULL CHECK(length(tree) = 32),
  format TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  architecture TEXT NOT NULL,
  entries INTEGER NOT NULL,
  content_size INTEGER NOT NULL,
  date INTEGER NOT NULL
);
CREATE INDEX package_name ON package(format, name);

CREATE TABLE pack(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  raw_size INTEGER NOT NULL,
  parts BLOB NOT NULL,
  checksum BLOB NOT NULL,
  info BLOB NOT NULL
);

CREATE TABLE action(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  kind TEXT NOT NULL,
  checksum BLOB NOT NULL,
  value BLOB NOT NULL
);

CREATE TABLE blob(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  media_type TEXT NOT NULL,
  data BLOB NOT NULL
);

CREATE TABLE root(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  set_at INTEGER NOT NULL
);
CREATE TABLE root_target(
  root INTEGER NOT NULL REFERENCES root ON DELETE CASCADE,
  object INTEGER NOT NULL REFERENCES object,
  PRIMARY KEY(root, object)
) WITHOUT ROWID;
CREATE INDEX root_target_object ON root_target(object);

CREATE TABLE lease(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  note TEXT NOT NULL,
  born INTEGER NOT NULL
);
CREATE TABLE held(
  lease INTEGER NOT NULL REFERENCES lease ON DELETE CASCADE,
  object INTEGER NOT NULL REFERENCES object,
  PRIMARY KEY(lease, object)
) WITHOUT ROWID;
CREATE INDEX held_object ON held(object);

CREATE TABLE counter(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
);
INSERT INTO counter VALUES ('roots', 0);
