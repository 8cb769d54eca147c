//! One store for many: projects, jobs, users, hosts; and a store that can only be read.

#![cfg(test)]

#[path = "sharing/bounds.rs"]
mod bounds;
#[path = "sharing/places.rs"]
mod places;
#[path = "sharing/read_only.rs"]
mod read_only;
#[path = "sharing/roots.rs"]
mod roots;
#[path = "sharing/users.rs"]
mod users;
#[path = "sharing/waiting.rs"]
mod waiting;
