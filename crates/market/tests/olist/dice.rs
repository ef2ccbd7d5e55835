//! Random numbers that a printed seed brings back (SplitMix64).

/// A source of random numbers that depends on its seed alone.
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice that always fall the same way for this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice seeded by `FOLDLINE_SEED`, else by the clock; prints the seed either way.
    pub(crate) fn from_env(what: &str) -> Self {
        let seed = match std::env::var("FOLDLINE_SEED") {
            Ok(text) => text.parse().expect("FOLDLINE_SEED is a number"),
            Err(_) => clock(),
        };
        println!("{what}: FOLDLINE_SEED={seed} brings this run back");
        Self(seed)
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to and without `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// An id as the data set writes it: 32 hex digits.
    pub(crate) fn hex_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.bits(), self.bits())
    }
}

fn clock() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock stands after 1970")
        .subsec_nanos()
        .into()
}
