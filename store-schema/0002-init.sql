-- Index of a dlstore store, format 2: the first that this program knows. README.md beside this file explains
-- every column. Numbers of kinds, states and places are read by the program and not checked here, so that a
-- later format can add some without making these tables anew.

-- One row for each file below packs/ (directory 1) and sources/ (directory 2), with what it looked like when its
-- bytes were last known to be right.
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

CREATE TABLE action(
  object INTEGER PRIMARY KEY REFERENCES object ON DELETE CASCADE,
  kind TEXT NOT NULL,
  value BLOB NOT NULL,
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

CREATE TABLE counter(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('roots', 0);
