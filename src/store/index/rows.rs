//! Rising numbers of rows, four bytes for each, and where one of them stands.
//!
//! A walk through a large store holds the rows of millions of objects and asks for each reference where its row stands
//! among them. Of a row the lower 32 bits are kept; the upper ones are the same for long stretches, in every store
//! that counts below four thousand million for all of them.

/// Rising numbers of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rows {
    low: Vec<u32>,
    /// Stretches with the same upper half: where each begins, and the half.
    high: Vec<(usize, i32)>,
}

impl Rows {
    /// Gives how many there are.
    pub(super) const fn len(&self) -> usize {
        self.low.len()
    }

    /// Sets room aside for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.low.reserve_exact(more);
    }

    /// Adds one that is larger than all before it; says whether it is.
    #[must_use]
    pub(super) fn push(&mut self, row: i64) -> bool {
        if self.last().is_some_and(|last| last >= row) {
            return false;
        }
        let (high, low) = halves(row);
        if self.high.last().is_none_or(|(_, last)| *last != high) {
            self.high.push((self.low.len(), high));
        }
        self.low.push(low);
        true
    }

    /// Gives the one that stands somewhere.
    pub(super) fn get(&self, place: usize) -> Option<i64> {
        let low = *self.low.get(place)?;
        let (_, high) = match self.high.as_slice() {
            [only] => only,
            several => several.get(several.partition_point(|(start, _)| *start <= place).checked_sub(1)?)?,
        };
        Some(i64::from(*high) << 32 | i64::from(low))
    }

    /// Gives the largest.
    pub(super) fn last(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Finds a row. Rows that are gone leave gaps, and most often evenly: so it looks where the row would stand then, and
    /// around that in growing steps.
    pub(super) fn find(&self, row: i64) -> Option<usize> {
        let (high, row) = halves(row);
        let (start, end) = self.stretch(high)?;
        let rows = &self.low[start..end];
        let (first, last) = (*rows.first()?, *rows.last()?);
        if row < first || row > last {
            return None;
        }
        let most = rows.len() - 1;
        let guess = u64::from(row - first) * most as u64 / u64::from(last - first).max(1);
        let guess = usize::try_from(guess).ok()?.min(most);
        let (mut low, mut high, mut step) = (guess, guess, 1);
        while rows[low] > row {
            (low, high, step) = (low.saturating_sub(step), low, step * 2);
        }
        while rows[high] < row {
            (low, high, step) = (high, (high + step).min(most), step * 2);
        }
        rows[low..=high].binary_search(&row).ok().map(|at| start + low + at)
    }

    /// Gives where the rows begin and end that have an upper half.
    fn stretch(&self, high: i32) -> Option<(usize, usize)> {
        let at = self.high.binary_search_by_key(&high, |(_, known)| *known).ok()?;
        Some((self.high[at].0, self.high.get(at + 1).map_or(self.low.len(), |(next, _)| *next)))
    }
}

/// The upper and the lower 32 bits, the upper one with the sign.
const fn halves(row: i64) -> (i32, u32) {
    ((row >> 32) as i32, row.cast_unsigned() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_wherever_the_gaps_are() {
        let even: Vec<i64> = (0..500).map(|at| at * 3 + 7).collect();
        let holes: Vec<i64> = (0..500).filter(|at| at % 97 < 13 || *at > 480).collect();
        let long: Vec<i64> =
            (-3..4).flat_map(|high| [0, 1, 5, 0xffff_fffe, 0xffff_ffff].map(|low| high << 32 | low)).collect();
        for sorted in
            [&even[..], &holes, &long, &[5], &[i64::MIN, 0, i64::MAX], &[1, 2, i64::MAX], &[i64::MIN, -2, -1], &[]]
        {
            let mut rows = Rows::default();
            assert!(sorted.iter().all(|row| rows.push(*row)));
            for (place, row) in sorted.iter().enumerate() {
                assert_eq!(rows.get(place), Some(*row));
            }
            assert_eq!((rows.get(sorted.len()), rows.last()), (None, sorted.last().copied()));
            let around = sorted.iter().flat_map(|row| [row.saturating_sub(1), *row, row.saturating_add(1)]);
            for row in (-5..1600).chain([i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]).chain(around) {
                assert_eq!(rows.find(row), sorted.binary_search(&row).ok(), "{row} of {sorted:?}");
            }
        }
    }

    #[test]
    fn one_that_is_not_larger_is_refused() {
        let mut rows = Rows::default();
        assert!(rows.push(7) && !rows.push(7) && !rows.push(6) && !rows.push(-1) && rows.push(8));
        assert_eq!(rows.len(), 2);
    }
}
