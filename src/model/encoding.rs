//! The primitive encoding of everything binary that the store keeps: trees, facts, piece tables.
//!
//! Integers are little-endian and of fixed width, byte strings are a `u32` length and the bytes.
//! There is one way to write each value, so equal values have equal bytes. A [`Decoder`] never
//! allocates more than the input it was given, and whatever reads one must end with
//! [`Decoder::finish`]: trailing bytes are an error.

/// Tells that stored bytes do not follow the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed encoding: {0}")]
pub struct DecodeError(pub &'static str);

/// Writes values one after another.
#[derive(Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// Starts with a magic text that names kind and version.
    #[must_use]
    pub fn new(magic: &str) -> Self {
        Self(magic.as_bytes().to_vec())
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Appends two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends bytes without their length, for values of fixed size such as digests.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    /// Appends a length and the bytes.
    ///
    /// # Panics
    /// When `value` is 4 GiB or longer; nothing that is kept in the index is.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.u32(u32::try_from(value.len()).expect("values in the index are far below 4 GiB"));
        self.raw(value)
    }

    /// Gives what was written so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.0
    }

    /// Forgets what was written so far, for whoever has taken it.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Gives what was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads values in the order in which they were written.
pub struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    /// Starts behind the magic text.
    ///
    /// # Errors
    /// When the input begins with something else.
    pub fn new(input: &'a [u8], magic: &str) -> Result<Self, DecodeError> {
        input.strip_prefix(magic.as_bytes()).map(Self).ok_or(DecodeError("wrong magic"))
    }

    /// Takes bytes of known length.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn raw(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError("truncated"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError("truncated"))?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// When the input has ended.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|bytes| bytes[0])
    }

    /// Takes two bytes.
    ///
    /// # Errors
    /// When the input has ended.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Takes four bytes.
    ///
    /// # Errors
    /// When the input has ended.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Takes eight bytes.
    ///
    /// # Errors
    /// When the input has ended.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes 32 bytes: a digest of any kind.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn digest(&mut self) -> Result<[u8; 32], DecodeError> {
        self.array()
    }

    /// Takes a length and as many bytes.
    ///
    /// # Errors
    /// When the input has ended.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()?;
        self.raw(length as usize)
    }

    /// Takes a length and as many bytes of UTF-8.
    ///
    /// # Errors
    /// When the input has ended or is not UTF-8.
    pub fn text(&mut self) -> Result<String, DecodeError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| DecodeError("not UTF-8"))
    }

    /// Says how many bytes are left, the bound for any count that was read.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When bytes are left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError("trailing bytes")) }
    }
}

/// Writes a list: how many items there are, then each.
///
/// # Panics
/// With 2^32 items or more.
pub fn encode_list<T>(
    out: &mut Encoder,
    items: impl ExactSizeIterator<Item = T>,
    mut one: impl FnMut(&mut Encoder, T),
) {
    out.u32(u32::try_from(items.len()).expect("no list of ours is that long"));
    for item in items {
        one(out, item);
    }
}

/// Reads a list.
///
/// # Errors
/// When the input ends before the list does, or an item cannot be read.
pub fn decode_list<'d, T>(
    input: &mut Decoder<'d>,
    mut one: impl FnMut(&mut Decoder<'d>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = input.u32()?;
    (0..count).map(|_| one(input)).collect()
}
