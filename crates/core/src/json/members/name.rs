//! Names of members that are read, and how their members begin.

/// The name of a member that is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    pub(crate) text: &'static str,
    /// How a member begins that has it.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) start: Start,
}

/// What is compared at once of a document: the byte before a member, a quote, a name, a quote, a colon.
#[cfg(not(target_arch = "wasm32"))]
type Window = [u8; 16];

/// A window whose first byte is 0, and a mask of the bytes that count.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    bytes: u128,
    mask: u128,
}

impl Name {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            text,
            #[cfg(not(target_arch = "wasm32"))]
            start: Start::new(text),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Start {
    const fn new(name: &str) -> Self {
        // A longer name fits into no window: nothing matches it.
        let mut start = Self { bytes: u128::MAX, mask: 0 };
        if name.len() + 4 > size_of::<Window>() {
            return start;
        }
        start.bytes = (b':' as u128) << 8 | b'"' as u128;
        let mut rest = name.as_bytes();
        while let Some((byte, before)) = rest.split_last() {
            start.bytes = start.bytes << 8 | *byte as u128;
            rest = before;
        }
        start.bytes = (start.bytes << 8 | b'"' as u128) << 8;
        start.mask = u128::MAX >> (8 * (size_of::<Window>() - name.len() - 4));
        start
    }

    /// Whether a window begins with a byte and then with this.
    #[inline(always)]
    pub(super) fn is_in(&self, window: &Window, before: u8) -> bool {
        u128::from_le_bytes(*window) & self.mask == self.bytes | u128::from(before)
    }
}
