//! Work side by side: threads are started only where there is more than one thing to do.
//!
//! A command that finds all it needs is done in a few milliseconds, and starting the pool would be one of them. rayon
//! starts it for an empty list too.

use rayon::prelude::*;

/// Does the same with each; outcomes come in their order.
pub(super) fn each<T: Send, U: Send>(all: Vec<T>, one: impl Fn(T) -> U + Sync + Send) -> Vec<U> {
    if all.len() < 2 {
        all.into_iter().map(one).collect()
    } else {
        all.into_par_iter().with_max_len(1).map(one).collect()
    }
}

/// Does the same with each, until one fails.
pub(super) fn try_each<T: Send, E: Send>(all: Vec<T>, one: impl Fn(T) -> Result<(), E> + Sync + Send) -> Result<(), E> {
    if all.len() < 2 {
        all.into_iter().try_for_each(one)
    } else {
        all.into_par_iter().with_max_len(1).try_for_each(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_order_and_one_thing_alone_is_done_where_it_is_asked_for() {
        let here = std::thread::current().id();
        assert_eq!(each(vec![()], |()| std::thread::current().id()), [here]);
        assert_eq!(each(Vec::<()>::new(), |()| ()), []);
        assert_eq!(each((0..200).collect(), |number: i32| number * 2), (0..400).step_by(2).collect::<Vec<_>>());
        for count in 0..4 {
            let outcome = try_each((0..count).collect(), |number: i32| if number == 0 { Err(number) } else { Ok(()) });
            assert_eq!(outcome.is_err(), count > 0);
        }
    }
}
