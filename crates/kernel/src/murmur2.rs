//! The hash by which Kafka's Java clients choose a partition.

/// Computes murmur2 as `org.apache.kafka.common.utils.Utils.murmur2` does (seed `0x9747b28c`).
///
/// The partition of a key is `(murmur2(key) & 0x7fff_ffff) % partitions`.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    const SEED: u32 = 0x9747_b28c;
    // Java hashes the length as an `int`; keys are far shorter than that.
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of Kafka's `UtilsTest.testMurmur2`.
    #[test]
    fn the_vectors_of_the_java_client_hold() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
        assert_eq!(murmur2(b"abc") as i32, 479_470_107);
    }

    /// Computed with `Utils.murmur2` of `org.apache.kafka:kafka-clients:4.1.0`: every length of
    /// the rest, a byte above 127, and keys as they are in the log.
    #[test]
    fn further_values_of_the_java_client_hold() {
        for (key, hash) in [
            ("", 275_646_681_i32),
            ("a", -1_563_381_124),
            ("ab", 316_155_434),
            ("abcd", -1_323_649_548),
            ("é", 186_971_271),
            ("00000000-0000-0000-0000-000000000000", 713_427_837),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", -359_870_222),
            ("0115e600-0000-4000-8000-000000000001", -1_571_836_485),
            ("861eff47-11a5-42e1-ba55-e3b7aac6c55e", -1_264_832_980),
            ("b49fbf55-9b40-4b27-aeb2-2d81e3c25f60", 2_095_118_975),
            ("9ef432eb-6251-2973-04e7-6186b10a928d", -1_588_683_300),
            ("019a7f3e-5c1d-7b2a-8e4f-0a1b2c3d4e5f", 260_513_296),
            ("7c396fd4-830f-b042-20f7-54e42b4e5bff", -850_702_529),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
