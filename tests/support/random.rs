//! Random numbers that a seed determines, so that a failure can be seen again.

/// A xorshift64* generator.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The sequence of that seed.
    pub(crate) fn new(seed: u64) -> Random {
        // The state must not be zero; neighbouring seeds must not begin alike.
        Random { state: seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number from 0 to `limit - 1`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True so many times of a hundred.
    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of them; `None` where there is none.
    pub(crate) fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        if among.is_empty() { None } else { Some(&among[self.below(among.len() as u64) as usize]) }
    }
}
