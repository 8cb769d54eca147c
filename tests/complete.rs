//! What the store remembers is complete, a function of its key, and healed: the matrix of damages, random flips of
//! the index, and the proofs that an outcome depends on nothing but what its key names.
//!
//! Every damage is done to a copy of one small store whose images are known from a fresh one. The claim is always
//! the same: **no damage gives another image with exit 0** (`complete/template.rs`).

#![cfg(test)]

#[path = "complete/based.rs"]
mod based;
#[path = "complete/crowd.rs"]
mod crowd;
#[path = "complete/files.rs"]
mod files;
#[path = "complete/flips.rs"]
mod flips;
#[path = "complete/keys.rs"]
mod keys;
#[path = "complete/outputs.rs"]
mod outputs;
#[path = "complete/restored.rs"]
mod restored;
#[path = "complete/rows.rs"]
mod rows;
#[path = "complete/template.rs"]
mod template;
