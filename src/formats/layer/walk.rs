//! Finding the last block of a deflate stream without writing what it says.
//!
//! libdeflate sets the final bit (`BFINAL`) in the last block of everything it compresses. Pieces
//! that are to be joined must not have it, and where the last block begins is known only to who has
//! read all symbols before it. [`last_block`] reads them: it follows the blocks, adds up lengths,
//! checks codes, distances and the end, but copies nothing. What it accepts decodes to as many
//! bytes as it was told.
//!
//! It is fast because it need not know *which* literals pass: one look-up takes as many literals as
//! eleven bits hold, and a length behind them with its extra bits. Codes longer than eleven bits
//! are rare and read bit by bit.
//!
//! Source: RFC 1951 (<https://www.rfc-editor.org/rfc/rfc1951>), section 3.2.

/// Zero bytes that must follow the stream in the buffer given to [`last_block`].
pub(super) const SLACK: usize = 16;

/// Where the last block of a stream lies, in bits from its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LastBlock {
    /// Place of the final bit.
    pub(super) final_bit: usize,
    /// First bit behind the block; what follows it up to the next byte is zero.
    pub(super) end: usize,
}

/// Walks a stream of `length` bytes that decodes to `raw` bytes.
///
/// `buffer` is the stream followed by [`SLACK`] zeros. `None`: it is no deflate stream, or it has
/// another raw length, or bytes follow its last block.
pub(super) fn last_block(buffer: &[u8], length: usize, raw: usize) -> Option<LastBlock> {
    if buffer.len() < length.checked_add(SLACK)? {
        return None;
    }
    let mut bits = Bits { data: buffer, next: 0, buffer: 0, count: 0 };
    let mut tables = Box::new(Tables::EMPTY);
    let mut produced = 0;
    loop {
        let final_bit = bits.position();
        bits.refill()?;
        let head = bits.take(3);
        match head >> 1 {
            0 => produced += stored(&mut bits, length)?,
            1 => {
                tables.fixed()?;
                produced = symbols(&mut bits, &tables, produced, length)?;
            }
            2 => {
                dynamic(&mut bits, &mut tables)?;
                produced = symbols(&mut bits, &tables, produced, length)?;
            }
            _ => return None,
        }
        let end = bits.position();
        if produced > raw || end > length * 8 {
            return None;
        }
        if head & 1 == 1 {
            let rest = buffer.get(end / 8).map_or(0, |byte| u32::from(*byte) >> (end % 8));
            let whole = produced == raw && end.div_ceil(8) == length;
            return (whole && (end.is_multiple_of(8) || rest == 0)).then_some(LastBlock { final_bit, end });
        }
    }
}

/// Bits of a stream, least significant first.
struct Bits<'a> {
    data: &'a [u8],
    next: usize,
    buffer: u64,
    count: u32,
}

impl Bits<'_> {
    /// Makes at least 56 bits available. `None` when the stream ended long ago.
    #[inline]
    fn refill(&mut self) -> Option<()> {
        let word = self.data.get(self.next..)?.first_chunk::<8>()?;
        self.buffer |= u64::from_le_bytes(*word) << self.count;
        self.next += (63 - self.count as usize) >> 3;
        self.count |= 0b11_1000;
        Some(())
    }

    #[inline]
    const fn drop(&mut self, bits: u32) {
        self.buffer >>= bits;
        self.count -= bits;
    }

    const fn take(&mut self, bits: u32) -> u32 {
        let value = (self.buffer & ((1 << bits) - 1)) as u32;
        self.drop(bits);
        value
    }

    const fn position(&self) -> usize {
        self.next * 8 - self.count as usize
    }
}

fn stored(bits: &mut Bits<'_>, length: usize) -> Option<usize> {
    let at = bits.position().div_ceil(8);
    let head: [u8; 4] = *bits.data.get(at..)?.first_chunk()?;
    let size = u16::from_le_bytes([head[0], head[1]]);
    if size != !u16::from_le_bytes([head[2], head[3]]) || at + 4 + usize::from(size) > length {
        return None;
    }
    *bits = Bits { data: bits.data, next: at + 4 + usize::from(size), buffer: 0, count: 0 };
    Some(usize::from(size))
}

// An entry of a table, least significant bits first:
//   6  bits to drop: all codes of the entry and the extra bits behind them
//   2  kind
//   4  number of extra bits
//   4  number of literals
//  16  what a length or distance adds up from
const LITERALS: u32 = 0;
const MATCH: u32 = 1;
const END: u32 = 2;
const LONG: u32 = 3;

const fn entry(bits: u32, kind: u32, extra: u32, literals: u32, base: u32) -> u32 {
    bits | kind << 6 | extra << 8 | literals << 12 | base << 16
}

const fn bits_of(entry: u32) -> u32 {
    entry & 63
}

const fn kind_of(entry: u32) -> u32 {
    entry >> 6 & 3
}

const fn literals_of(entry: u32) -> usize {
    (entry >> 12 & 15) as usize
}

/// Reads the extra bits of an entry, which are the last ones that it drops, and adds them up.
#[inline]
const fn value_of(entry: u32, buffer: u64) -> usize {
    let extra = entry >> 8 & 15;
    let low = buffer >> (bits_of(entry) - extra) & ((1 << extra) - 1);
    (entry >> 16) as usize + low as usize
}

const WIDE: usize = 11;
const NARROW: usize = 9;

/// Follows the symbols of a block to its end and gives the raw length up to there.
fn symbols(bits: &mut Bits<'_>, tables: &Tables, produced: usize, length: usize) -> Option<usize> {
    if tables.matches_are_rare { guess(bits, tables, produced, length) } else { both(bits, tables, produced, length) }
}

/// Follows a block of which most symbols are literals: guesses that one comes next.
#[inline(never)]
fn guess(bits: &mut Bits<'_>, tables: &Tables, mut produced: usize, length: usize) -> Option<usize> {
    // Behind the stream are only zeros; a walk that has left it stops here.
    let limit = length + SLACK - 8;
    while bits.next <= limit {
        bits.refill()?;
        let mut found = tables.wide_at(bits.buffer);
        for _ in 0..3 {
            if kind_of(found) != LITERALS {
                break;
            }
            bits.drop(bits_of(found));
            produced += literals_of(found);
            found = tables.wide_at(bits.buffer);
        }
        // Up to 33 bits are gone; what follows may take 48.
        bits.refill()?;
        if kind_of(found) == LONG {
            let (symbol, code) = tables.literals.read(bits.buffer)?;
            found = literal_entry(symbol, code)?;
        }
        let more = value_of(found, bits.buffer);
        bits.drop(bits_of(found));
        produced += literals_of(found);
        match kind_of(found) {
            END => return Some(produced),
            MATCH => {
                let mut distance = tables.narrow_at(bits.buffer);
                if kind_of(distance) == LONG {
                    let (symbol, code) = tables.distances.read(bits.buffer)?;
                    distance = distance_entry(symbol, code)?;
                }
                if value_of(distance, bits.buffer) > produced {
                    return None;
                }
                bits.drop(bits_of(distance));
                produced += more;
            }
            _ => {}
        }
    }
    None
}

/// Follows a block of literals and matches in any order.
///
/// What comes next cannot be guessed, so each step takes both: literals, a length and a distance,
/// and what is missing counts as nothing. Only rare things are branches.
#[inline(never)]
fn both(bits: &mut Bits<'_>, tables: &Tables, mut produced: usize, length: usize) -> Option<usize> {
    let limit = length + SLACK - 8;
    bits.refill()?;
    let mut next = tables.wide_at(bits.buffer);
    while bits.next <= limit {
        let mut found = next;
        if kind_of(found) == LONG {
            let (symbol, code) = tables.literals.read(bits.buffer)?;
            found = literal_entry(symbol, code)?;
        }
        // At worst 20 bits here and 28 for the distance, which leaves enough of the 64 in the
        // buffer for the next look-up.
        let more = value_of(found, bits.buffer);
        bits.drop(bits_of(found));
        produced += literals_of(found);
        if kind_of(found) == END {
            return Some(produced);
        }
        let is_match = (found >> 6 & 1).wrapping_neg();
        let mut distance = tables.narrow_at(bits.buffer) & is_match;
        if kind_of(distance) == LONG {
            let (symbol, code) = tables.distances.read(bits.buffer)?;
            distance = distance_entry(symbol, code)?;
        }
        if value_of(distance, bits.buffer) > produced {
            return None;
        }
        bits.drop(bits_of(distance));
        produced += more;
        next = tables.wide_at(bits.buffer);
        bits.refill()?;
    }
    None
}

fn literal_entry(symbol: u16, bits: u32) -> Option<u32> {
    const BASE: [u16; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ];
    const EXTRA: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
    match symbol {
        0..=255 => Some(entry(bits, LITERALS, 0, 1, 0)),
        256 => Some(entry(bits, END, 0, 0, 0)),
        _ => {
            let at = usize::from(symbol) - 257;
            let extra = u32::from(*EXTRA.get(at)?);
            Some(entry(bits + extra, MATCH, extra, 0, u32::from(BASE[at])))
        }
    }
}

fn distance_entry(symbol: u16, bits: u32) -> Option<u32> {
    let symbol = u32::from(symbol);
    let extra = (symbol / 2).saturating_sub(1);
    let base = if symbol < 4 { symbol + 1 } else { ((2 + symbol % 2) << extra) + 1 };
    (symbol < 30).then(|| entry(bits + extra, MATCH, extra, 0, base))
}

/// A canonical prefix code: how many codes each length has, and the symbols in code order.
struct Code {
    counts: [u16; 16],
    symbols: [u16; 288],
}

impl Code {
    const EMPTY: Self = Self { counts: [0; 16], symbols: [0; 288] };

    /// Makes the code of the given lengths. `None` when it has more codes than there is room for,
    /// or room left over, unless a lone symbol (or none) is all there is.
    fn set(&mut self, lengths: &[u8]) -> Option<()> {
        self.counts = [0; 16];
        for length in lengths {
            self.counts[usize::from(*length)] += 1;
        }
        let used = lengths.len() as u16 - self.counts[0];
        self.counts[0] = 0;
        let mut room = 1_i32;
        let mut starts = [0_u16; 16];
        for length in 1..16 {
            room = room * 2 - i32::from(self.counts[length]);
            if room < 0 {
                return None;
            }
            starts[length] = starts[length - 1] + self.counts[length - 1];
        }
        if room > 0 && used > 1 {
            return None;
        }
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            let start = &mut starts[usize::from(*length)];
            self.symbols[usize::from(*start)] = symbol as u16;
            *start += 1;
        }
        Some(())
    }

    /// Reads one code bit by bit; gives its symbol and length.
    #[inline(never)]
    fn read(&self, mut buffer: u64) -> Option<(u16, u32)> {
        let (mut code, mut first, mut index) = (0_u32, 0_u32, 0_u32);
        for length in 1..16_u32 {
            code |= (buffer & 1) as u32;
            buffer >>= 1;
            let count = u32::from(self.counts[length as usize]);
            if code < first + count {
                return Some((self.symbols[(index + code - first) as usize], length));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }

    /// Fills a table that is looked up by the next bits of the stream.
    fn table(&self, table: &mut [u32], entry_of: impl Fn(u16, u32) -> Option<u32>) {
        let width = table.len().trailing_zeros();
        table.fill(entry(0, LONG, 0, 0, 0));
        let (mut code, mut index) = (0_u32, 0_usize);
        for length in 1..=width {
            for _ in 0..self.counts[length as usize] {
                let start = code.reverse_bits() >> (32 - length);
                // A symbol without a meaning stays "long", where reading it ends the walk.
                if let Some(found) = entry_of(self.symbols[index], length) {
                    table[start as usize..].iter_mut().step_by(1 << length).for_each(|slot| *slot = found);
                }
                code += 1;
                index += 1;
            }
            code <<= 1;
        }
    }
}

struct Tables {
    literals: Code,
    distances: Code,
    wide: [u32; 1 << WIDE],
    narrow: [u32; 1 << NARROW],
    /// Fewer than one symbol in eight is a length, by the lengths of the codes.
    matches_are_rare: bool,
}

impl Tables {
    const EMPTY: Self = Self {
        literals: Code::EMPTY,
        distances: Code::EMPTY,
        wide: [0; 1 << WIDE],
        narrow: [0; 1 << NARROW],
        matches_are_rare: false,
    };

    #[inline]
    const fn wide_at(&self, buffer: u64) -> u32 {
        self.wide[buffer as usize & ((1 << WIDE) - 1)]
    }

    #[inline]
    const fn narrow_at(&self, buffer: u64) -> u32 {
        self.narrow[buffer as usize & ((1 << NARROW) - 1)]
    }

    fn set(&mut self, literals: &[u8], distances: &[u8]) -> Option<()> {
        if literals[256] == 0 {
            return None;
        }
        // A code of n bits is meant for one symbol in 2^n.
        let weight = |length: &u8| if *length == 0 { 0 } else { 1 << (15 - length) };
        self.matches_are_rare = literals[257..].iter().map(weight).sum::<u32>() < (1 << 15) / 8;
        self.literals.set(literals)?;
        self.distances.set(distances)?;
        self.distances.table(&mut self.narrow, distance_entry);
        let mut single = [0; 1 << WIDE];
        self.literals.table(&mut single, literal_entry);
        for (at, slot) in self.wide.iter_mut().enumerate() {
            *slot = several(&single, at);
        }
        Some(())
    }

    fn fixed(&mut self) -> Option<()> {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.set(&lengths, &[5; 32])
    }
}

/// Joins literals as long as their codes lie within the look-up, and a length behind them.
fn several(single: &[u32; 1 << WIDE], at: usize) -> u32 {
    let first = single[at];
    if kind_of(first) != LITERALS {
        return first;
    }
    let (mut bits, mut count) = (bits_of(first), 1);
    loop {
        let next = single[at >> bits];
        let extra = next >> 8 & 15;
        let known = bits + bits_of(next) - extra <= WIDE as u32;
        match kind_of(next) {
            LITERALS if known => {
                bits += bits_of(next);
                count += 1;
            }
            MATCH if known => return entry(bits + bits_of(next), MATCH, extra, count, next >> 16),
            _ => return entry(bits, LITERALS, 0, count, 0),
        }
    }
}

/// Reads the codes of a dynamic block (RFC 1951, section 3.2.7).
fn dynamic(bits: &mut Bits<'_>, tables: &mut Tables) -> Option<()> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literals = bits.take(5) as usize + 257;
    let distances = bits.take(5) as usize + 1;
    let own = bits.take(4) as usize + 4;
    let mut lengths = [0; 19];
    for place in &ORDER[..own] {
        bits.refill()?;
        lengths[*place] = bits.take(3) as u8;
    }
    tables.literals.set(&lengths)?;
    let mut lengths = [0_u8; 320];
    let mut at = 0;
    while at < literals + distances {
        bits.refill()?;
        let (symbol, length) = tables.literals.read(bits.buffer)?;
        bits.drop(length);
        let (value, times) = match symbol {
            16 => (*lengths.get(at.checked_sub(1)?)?, 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            _ => (symbol as u8, 1),
        };
        let end = at + times as usize;
        if end > literals + distances {
            return None;
        }
        lengths[at..end].fill(value);
        at = end;
    }
    let (literals, distances) = lengths[..at].split_at(literals);
    tables.set(literals, distances)
}
