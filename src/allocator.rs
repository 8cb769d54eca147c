//! The allocator: memory that was freed goes back to the system.
//!
//! glibc learns from what is freed. Once a decoder has let go of a dictionary of 8 MiB, it takes pieces of that size from
//! the pools of its threads, and keeps up to 16 MiB of free memory at the top of each (`M_MMAP_THRESHOLD` and
//! `M_TRIM_THRESHOLD` in `mallopt(3)`). A cold compose then holds 30 MiB that nobody uses. With both numbers set it does
//! not learn. `docs/performance.md` has the figures.
//!
//! No safe interface of these numbers exists, so this is the one place with `unsafe`.

/// Has large pieces mapped one by one, and the ends of pools given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no other way to say it")]
pub(crate) fn give_back() {
    /// Bytes from which a piece is mapped by itself.
    const MAPPED: libc::c_int = 1 << 20;
    /// Free bytes that stay at the end of a pool.
    const KEPT: libc::c_int = 2 << 20;
    // SAFETY: `mallopt` takes two numbers and no pointer, and locks what it changes. What it does not take it leaves
    // as it was, which costs memory alone.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

/// Other C libraries keep less.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) const fn give_back() {}
