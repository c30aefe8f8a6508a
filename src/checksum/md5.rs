//! MD5 of several streams beside each other.
//!
//! Each of MD5's steps waits for the one before it, so that a core spends 1.8 ms on a MiB however wide
//! its registers are: nearly half of what an upload costs. Steps of different streams wait for nothing
//! of each other, and one instruction does those of four: 0.6 ms for each MiB, with the registers that
//! every x86-64 and every ARM has. Those of AVX2 hold eight: 0.34 ms, where five streams or more send at the
//! same moment; and 0.25 with AVX-512, which rotates and combines three numbers in one instruction each.
//! 64 uploads of 16 MiB took 43.4 ms of CPU time each with four at most, and take 35.7.
//!
//! <https://www.rfc-editor.org/rfc/rfc1321>

#![expect(
    clippy::inline_always,
    reason = "what is not inlined is not turned into wide instructions"
)]

use multiversion::multiversion;

/// Bytes that MD5 takes at a time.
pub const BLOCK_BYTES: usize = 64;

/// Streams that are hashed beside each other at most.
pub const LANES: usize = 8;

/// As many of them as any processor does in one instruction.
const FEW: usize = LANES / 2;

type Block = [u8; BLOCK_BYTES];

const BEGINNING: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// What the steps add: the fractions of sines.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// What follows the bytes until their number: a bit and nothing.
const PADDING: [u8; BLOCK_BYTES] = {
    let mut padding = [0; BLOCK_BYTES];
    padding[0] = 0x80;
    padding
};

/// The MD5 of one stream, as far as it has come.
#[derive(Debug, Clone)]
pub struct Md5 {
    state: [u32; 4],
    /// A block that has begun, as far as [`Md5::begun`] says.
    open: Block,
    bytes: u64,
}

impl Default for Md5 {
    fn default() -> Self {
        Self {
            state: BEGINNING,
            open: [0; BLOCK_BYTES],
            bytes: 0,
        }
    }
}

impl Md5 {
    /// Takes `bytes` in.
    pub fn update(&mut self, bytes: &[u8]) {
        let (blocks, rest) = self.complete(bytes).as_chunks();
        self.compress(blocks);
        self.count(blocks.as_flattened());
        self.begin(rest);
    }

    /// The digest.
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.bytes.wrapping_mul(8).to_le_bytes();
        let room = BLOCK_BYTES.saturating_sub(bits.len());
        let padding = match room.saturating_sub(self.begun()) {
            0 => BLOCK_BYTES
                .saturating_add(room)
                .saturating_sub(self.begun()),
            bytes => bytes,
        };
        self.update(PADDING.get(..padding).unwrap_or_default());
        self.update(&bits);
        let mut digest = [0; 16];
        for (four, number) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *four = number.to_le_bytes();
        }
        digest
    }

    /// Bytes of a block that is not whole.
    const fn begun(&self) -> usize {
        self.bytes.to_le_bytes()[0] as usize % BLOCK_BYTES
    }

    /// Takes the end of a block that has begun; the rest begins with a block of its own.
    fn complete<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let begun = self.begun();
        if begun == 0 {
            return bytes;
        }
        let (end, rest) = bytes.split_at(BLOCK_BYTES.saturating_sub(begun).min(bytes.len()));
        self.begin(end);
        if self.begun() == 0 {
            let block = self.open;
            self.compress(&[block]);
        }
        rest
    }

    /// Keeps `bytes`, with which no block becomes more than whole.
    fn begin(&mut self, bytes: &[u8]) {
        let begun = self.begun();
        for (place, byte) in self.open.iter_mut().skip(begun).zip(bytes) {
            *place = *byte;
        }
        self.count(bytes);
    }

    fn count(&mut self, bytes: &[u8]) {
        let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    fn compress(&mut self, blocks: &[Block]) {
        let mut states = self.state.map(|number| [number]);
        for block in blocks {
            steps(&mut states, [block]);
        }
        self.state = states.map(|[number]| number);
    }
}

/// Bytes of a stream on their way into its MD5.
#[derive(Debug)]
pub struct Lane<'a> {
    /// The stream's.
    pub md5: &'a mut Md5,
    /// What of them is still to be taken.
    pub bytes: &'a [u8],
}

/// Takes `bytes_max` bytes, or somewhat more, of each lane, or as many as the shortest has left.
pub fn advance(lanes: &mut [Lane<'_>], bytes_max: usize) {
    for Lane { md5, bytes } in &mut *lanes {
        *bytes = md5.complete(bytes);
    }
    let shortest = lanes.iter().map(|lane| lane.bytes.len() / BLOCK_BYTES);
    let blocks = shortest.min().unwrap_or(0);
    let blocks = blocks.min(bytes_max.div_ceil(BLOCK_BYTES));
    for side_by_side in lanes.chunks_mut(LANES) {
        match side_by_side {
            [Lane { md5, bytes }] => {
                let whole = bytes.as_chunks().0;
                md5.compress(whole.get(..blocks).unwrap_or(whole));
            }
            few if few.len() <= FEW => beside::<FEW>(few, blocks),
            many => beside::<LANES>(many, blocks),
        }
    }
    for Lane { md5, bytes } in lanes {
        let (taken, rest) = bytes.split_at(blocks.saturating_mul(BLOCK_BYTES).min(bytes.len()));
        md5.count(taken);
        *bytes = rest;
        if rest.len() < BLOCK_BYTES {
            md5.begin(rest);
            *bytes = &[];
        }
    }
}

/// The states of streams, number by number.
type States<const N: usize> = [[u32; N]; 4];

/// At most `N` of them: lanes that are missing are filled with the first one's bytes, to no effect.
fn beside<const N: usize>(lanes: &mut [Lane<'_>], blocks: usize) {
    let mut states = [[0; N]; 4];
    let mut bytes: [&[Block]; N] = [&[]; N];
    for (at, into) in bytes.iter_mut().enumerate() {
        let Some(lane) = lanes.get(at).or(lanes.first()) else {
            return;
        };
        let whole = lane.bytes.as_chunks().0;
        *into = whole.get(..blocks).unwrap_or(whole);
        for (numbers, number) in states.iter_mut().zip(lane.md5.state) {
            if let Some(place) = numbers.get_mut(at) {
                *place = number;
            }
        }
    }
    compress_beside(&mut states, bytes);
    for (at, lane) in lanes.iter_mut().enumerate() {
        for (number, numbers) in lane.md5.state.iter_mut().zip(&states) {
            *number = numbers.get(at).copied().unwrap_or_default();
        }
    }
}

/// Takes as many blocks of each as the shortest has. It is compiled for these processors and for any; of those
/// with AVX-512 it is for the ones that don't slow down for it (since Ice Lake and Zen 4).
#[multiversion(targets("x86_64+avx512vl", "x86_64+avx2"))]
#[expect(
    clippy::indexing_slicing,
    reason = "none has fewer blocks than the shortest"
)]
fn compress_beside<const N: usize>(states: &mut States<N>, lanes: [&[Block]; N]) {
    let shortest = lanes.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    let lanes = lanes.map(|blocks| &blocks[..shortest]);
    for at in 0..shortest {
        steps(states, lanes.map(|blocks| &blocks[at]));
    }
}

/// One step of one lane: `$a` becomes something new, by what `$f` makes of the others.
macro_rules! step {
    ($f:ident, $a:ident $b:ident $c:ident $d:ident, $word:expr, $step:literal, $turn:literal) => {
        let sum = $a.wrapping_add($word).wrapping_add(SINES[$step]);
        $a = $b.wrapping_add($f($b, $c, $d, sum).rotate_left($turn));
    };
}

/// The 64 steps that take a block into each lane's state.
///
/// The loop over the lanes is what the compiler turns into wide instructions: all of its body is
/// arithmetic on numbers that lie beside each other.
#[inline(always)]
#[expect(
    clippy::indexing_slicing,
    reason = "a lane is below N, the length of each array"
)]
fn steps<const N: usize>(states: &mut States<N>, blocks: [&Block; N]) {
    let mut words = [[0_u32; N]; 16];
    for lane in 0..N {
        let (fours, _none) = blocks[lane].as_chunks();
        for word in 0..16 {
            words[word][lane] = u32::from_le_bytes(fours[word]);
        }
    }
    let [of_a, of_b, of_c, of_d] = states;
    for lane in 0..N {
        let (mut a, mut b, mut c, mut d) = (of_a[lane], of_b[lane], of_c[lane], of_d[lane]);
        macro_rules! four {
            ($f:ident, $step:literal $second:literal $third:literal $fourth:literal,
             [$w0:literal $w1:literal $w2:literal $w3:literal],
             [$t0:literal $t1:literal $t2:literal $t3:literal]) => {
                step!($f, a b c d, words[$w0][lane], $step, $t0);
                step!($f, d a b c, words[$w1][lane], $second, $t1);
                step!($f, c d a b, words[$w2][lane], $third, $t2);
                step!($f, b c d a, words[$w3][lane], $fourth, $t3);
            };
        }
        four!(f, 0 1 2 3, [0 1 2 3], [7 12 17 22]);
        four!(f, 4 5 6 7, [4 5 6 7], [7 12 17 22]);
        four!(f, 8 9 10 11, [8 9 10 11], [7 12 17 22]);
        four!(f, 12 13 14 15, [12 13 14 15], [7 12 17 22]);
        four!(g, 16 17 18 19, [1 6 11 0], [5 9 14 20]);
        four!(g, 20 21 22 23, [5 10 15 4], [5 9 14 20]);
        four!(g, 24 25 26 27, [9 14 3 8], [5 9 14 20]);
        four!(g, 28 29 30 31, [13 2 7 12], [5 9 14 20]);
        four!(h, 32 33 34 35, [5 8 11 14], [4 11 16 23]);
        four!(h, 36 37 38 39, [1 4 7 10], [4 11 16 23]);
        four!(h, 40 41 42 43, [13 0 3 6], [4 11 16 23]);
        four!(h, 44 45 46 47, [9 12 15 2], [4 11 16 23]);
        four!(i, 48 49 50 51, [0 7 14 5], [6 10 15 21]);
        four!(i, 52 53 54 55, [12 3 10 1], [6 10 15 21]);
        four!(i, 56 57 58 59, [8 15 6 13], [6 10 15 21]);
        four!(i, 60 61 62 63, [4 11 2 9], [6 10 15 21]);
        of_a[lane] = of_a[lane].wrapping_add(a);
        of_b[lane] = of_b[lane].wrapping_add(b);
        of_c[lane] = of_c[lane].wrapping_add(c);
        of_d[lane] = of_d[lane].wrapping_add(d);
    }
}

// The functions of RFC 1321, with the sum that they are added to: `x` is what the step before made, and
// the less that waits for it, the sooner a step is done.

#[inline(always)]
const fn f(x: u32, y: u32, z: u32, sum: u32) -> u32 {
    sum.wrapping_add(z ^ (x & (y ^ z)))
}

#[inline(always)]
const fn g(x: u32, y: u32, z: u32, sum: u32) -> u32 {
    // The two halves have no bit in common, so that a sum is as good as an "or".
    sum.wrapping_add(y & !z).wrapping_add(x & z)
}

#[inline(always)]
const fn h(x: u32, y: u32, z: u32, sum: u32) -> u32 {
    sum.wrapping_add(x ^ (y ^ z))
}

#[inline(always)]
const fn i(x: u32, y: u32, z: u32, sum: u32) -> u32 {
    sum.wrapping_add(y ^ (x | !z))
}

#[cfg(test)]
mod tests {
    use md5::Digest as _;

    use super::*;

    fn bytes(seed: usize, len: usize) -> Vec<u8> {
        let byte = |at: usize| (at.wrapping_mul(31).wrapping_add(seed * 7) >> 2).to_le_bytes()[0];
        (0..len).map(byte).collect()
    }

    fn expected(bytes: &[u8]) -> [u8; 16] {
        md5::Md5::digest(bytes).into()
    }

    #[test]
    fn one_stream_is_hashed_as_elsewhere_however_it_is_cut() {
        for len in (0..200).chain([4096, 65_537]) {
            let bytes = bytes(len, len);
            for cut in [1, 63, 64, 65, 1000] {
                let mut md5 = Md5::default();
                bytes.chunks(cut).for_each(|piece| md5.update(piece));
                assert_eq!(md5.finish(), expected(&bytes), "{len} bytes by {cut}");
            }
        }
    }

    #[test]
    fn streams_beside_each_other_do_not_disturb_each_other() {
        for count in 1..=(2 * LANES + 1) {
            let streams: Vec<_> = (0..count).map(|of| bytes(of, 5000 - 131 * of)).collect();
            let mut states = vec![Md5::default(); count];
            for (md5, bytes) in states.iter_mut().zip(&streams) {
                md5.update(&bytes[..bytes.len() % 100]); // so that each stands elsewhere in a block
            }
            let rests = streams.iter().map(|bytes| &bytes[bytes.len() % 100..]);
            let lanes = states.iter_mut().zip(rests);
            let mut lanes: Vec<_> = lanes.map(|(md5, bytes)| Lane { md5, bytes }).collect();
            while !lanes.is_empty() {
                advance(&mut lanes, 1000);
                lanes.retain(|lane| !lane.bytes.is_empty());
            }
            for (md5, bytes) in states.into_iter().zip(&streams) {
                assert_eq!(md5.finish(), expected(bytes), "{count} streams");
            }
        }
    }
}
