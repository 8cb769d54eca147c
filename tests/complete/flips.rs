//! Random bit flips of the index: no wrong image, no abort, no hang.
//!
//! `DLSTORE_FLIPS` says how many (100 when it does not), `DLSTORE_SEED` from which seed; the seed is printed.

use std::fs;

use crate::template::{APK, COLD, Claim, EMBEDDED, Template, WARM, all, cell};
use dlstore_kit::Dice;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn no_flipped_bit_of_the_index_gives_another_image() {
    let template = Template::get();
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = number("DLSTORE_SEED", time.as_secs());
    let count = number("DLSTORE_FLIPS", 100);
    println!("DLSTORE_SEED={seed} DLSTORE_FLIPS={count}");
    let size = fs::metadata(template.copy().store().join("index.db")).unwrap().len();
    let mut dice = Dice::new(seed);
    let cells: Vec<u64> = (0..count).map(|_| dice.below(size * 8)).collect();
    all(
        &cells,
        |bit| format!("bit {bit} of {} of index.db (seed {seed})", size * 8),
        |bit| {
            let place = template.copy();
            let path = place.store().join("index.db");
            let mut bytes = fs::read(&path).unwrap();
            let at = usize::try_from(bit / 8).unwrap();
            bytes[at] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            let orders: [&[&str]; 2] = [&[WARM, COLD, APK], &[COLD, EMBEDDED, WARM]];
            cell(&place, orders[usize::try_from(bit % 2).unwrap()], Claim::Strict)
        },
    );
}
