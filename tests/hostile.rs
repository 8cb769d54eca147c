//! What others made and did not mean well: packages, images, names, and content that an image must not have.

#![cfg(test)]

#[path = "hostile/as_listed.rs"]
mod as_listed;
#[path = "hostile/bad_packages.rs"]
mod bad_packages;
#[path = "hostile/bounds.rs"]
mod bounds;
#[path = "hostile/definitions.rs"]
mod definitions;
#[path = "hostile/depends.rs"]
mod depends;
#[path = "hostile/hints.rs"]
mod hints;
#[path = "hostile/loaded.rs"]
mod loaded;
#[path = "hostile/loader.rs"]
mod loader;
#[path = "hostile/machines.rs"]
mod machines;
#[path = "hostile/made.rs"]
mod made;
#[path = "hostile/missing.rs"]
mod missing;
#[path = "hostile/names.rs"]
mod names;
#[path = "hostile/places.rs"]
mod places;
#[path = "hostile/projects.rs"]
mod projects;
#[path = "hostile/reading.rs"]
mod reading;
#[path = "hostile/refusals.rs"]
mod refusals;
#[path = "hostile/reserved.rs"]
mod reserved;
#[path = "hostile/run_time.rs"]
mod run_time;
#[path = "hostile/shippers.rs"]
mod shippers;
#[path = "hostile/start.rs"]
mod start;
#[path = "hostile/unread.rs"]
mod unread;
#[path = "hostile/unused.rs"]
mod unused;
#[path = "hostile/versions.rs"]
mod versions;
#[path = "hostile/way.rs"]
mod way;
