//! Waiting for another's write, and saying for whom.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::{Duration, Instant};

use dlstore_kit::{Place, finish, packages, place};

/// Holds the write lock of a store for as long as `while_held` runs and `seconds` more, beside it.
fn held<T: Send>(place: &Place, seconds: u64, while_held: impl FnOnce() -> T + Send) -> T {
    let holder = place.index();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let work = scope.spawn(while_held);
        std::thread::sleep(Duration::from_secs(seconds));
        holder.execute_batch("ROLLBACK").unwrap();
        work.join().unwrap()
    })
}

#[test]
fn a_long_wait_says_for_whom() {
    let place = place!();
    place.ok(["compose", "static", "--arch", "amd64"]);
    let deb = place.package("one.deb", &packages::deb("one", 1, "amd64").build());
    let add = || finish(place.command(["add".as_ref(), deb.as_os_str()])).ok();
    let waits = |err: &str| -> Vec<String> {
        err.lines().filter(|line| line.contains("waiting for")).map(ToOwned::to_owned).collect()
    };
    let alone = held(&place, 4, add);
    assert_eq!(waits(&alone.err), ["note: waiting for the write lock of the store, which another process holds"]);

    // Somebody at work: a lease is a lock file that is held, with a note in it.
    let path = place.store().join("leases").join(format!("{}.lock", "ab".repeat(16)));
    let mut lease = File::create(&path).unwrap();
    lease.write_all(b"compose").unwrap();
    lease.lock().unwrap();
    let other = place.package("two.deb", &packages::deb("two", 2, "amd64").build());
    let add = || finish(place.command(["add".as_ref(), other.as_os_str()])).ok();
    let named = waits(&held(&place, 4, add).err);
    assert_eq!(named.len(), 1, "{named:?}");
    let begin = "note: waiting for the write lock of the store, which is in use by: compose (for ";
    assert!(named[0].starts_with(begin), "its own lease is not named: {named:?}");
    fs::remove_file(path).unwrap();
}

#[test]
fn a_hit_waits_for_nobody() {
    let place = place!();
    let compose = || place.ok(["compose", "static", "--arch", "amd64"]);
    let digest = compose();
    let index = place.index();
    index.execute("UPDATE root SET used_at = 1000", []).unwrap();
    drop(index);
    let (again, took) = held(&place, 4, || {
        let begun = Instant::now();
        (compose(), begun.elapsed())
    });
    assert_eq!(again, digest);
    assert!(took < Duration::from_secs(3), "its use is noted another time: {took:?}");
}
