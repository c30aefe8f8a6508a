//! A blob's footer: the checksum of each of its blocks, so that rotten bytes are never served.
//!
//! The object's bytes begin at offset 0 of the file, which lets a range be read or sent as it
//! lies. Behind them: a CRC32C for each block (little-endian), then [`TAIL_BYTES`] that say how to
//! read the rest.

use std::mem;

/// Bytes of a block: small enough that a small range reads little more than it returns.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// Bytes of a footer's fixed part: data length, block size, the checksums' own checksum, magic.
pub const TAIL_BYTES: usize = 8 + 4 + 4 + 8;

/// The block size as the footer states it.
const BLOCK_SIZE: [u8; 4] = 65_536_u32.to_le_bytes();

const MAGIC: [u8; 8] = *b"CONSIGN1";

/// The checksum of a block that lies there whole.
///
/// Where there is AVX-512 it is four times as fast as what [`BlockSums`] continues, and reads of 16 MiB are a
/// tenth faster. What continues stays another crate's: this one's takes the tables of all its CRCs along, half a
/// MB, and uploads were no faster with it.
pub fn checksum(block: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(block)
}

/// Takes the checksums of blocks from pieces of any size.
#[derive(Debug, Default)]
pub struct BlockSums {
    done: Vec<u32>,
    /// The checksum so far of the block that is not full.
    open: u32,
    open_bytes: usize,
    len: u64,
}

impl BlockSums {
    /// Continues with `bytes`.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.len = self.len.saturating_add(bytes.len() as u64);
        while !bytes.is_empty() {
            let room = BLOCK_BYTES.saturating_sub(self.open_bytes).min(bytes.len());
            let (now, rest) = bytes.split_at(room);
            self.open = crc32c::crc32c_append(self.open, now);
            self.open_bytes += now.len();
            if self.open_bytes == BLOCK_BYTES {
                self.close_block();
            }
            bytes = rest;
        }
    }

    /// The bytes seen so far.
    pub const fn bytes_seen(&self) -> u64 {
        self.len
    }

    /// Those of them in a block that is not full.
    pub const fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// The footer to write behind the data, of which nothing more comes.
    pub fn footer(&mut self) -> Vec<u8> {
        self.close_block();
        let mut footer: Vec<u8> = self.done.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        let of_sums = checksum(&footer);
        footer.extend(self.len.to_le_bytes());
        footer.extend(BLOCK_SIZE);
        footer.extend(of_sums.to_le_bytes());
        footer.extend(MAGIC);
        footer
    }

    fn close_block(&mut self) {
        if self.open_bytes > 0 {
            self.done.push(mem::take(&mut self.open));
            self.open_bytes = 0;
        }
    }
}

/// A footer that was read back and checked.
#[derive(Debug, Clone)]
pub struct Footer {
    sums: Vec<u32>,
}

impl Footer {
    /// Bytes of the footer of a blob of `len` bytes.
    pub const fn bytes(len: u64) -> u64 {
        len.div_ceil(BLOCK_BYTES as u64) * 4 + TAIL_BYTES as u64
    }

    /// Reads the footer of a blob whose record says that it has `len` bytes.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn parse(footer: &[u8], len: u64) -> Result<Self, String> {
        let split = footer
            .len()
            .checked_sub(TAIL_BYTES)
            .ok_or("the footer is cut off")?;
        let (sums, tail) = footer.split_at(split);
        let expected = [
            &len.to_le_bytes()[..],
            &BLOCK_SIZE,
            &checksum(sums).to_le_bytes(),
            &MAGIC,
        ]
        .concat();
        if tail != expected || footer.len() as u64 != Self::bytes(len) {
            return Err("the footer does not fit the blob".into());
        }
        let (sums, _none) = sums.as_chunks::<4>();
        Ok(Self {
            sums: sums.iter().copied().map(u32::from_le_bytes).collect(),
        })
    }

    /// Checks `bytes`, which begin at block number `first` and end with a block or the blob.
    ///
    /// # Errors
    /// Which block is wrong, in words.
    pub fn check(&self, first: usize, bytes: &[u8]) -> Result<(), String> {
        for (at, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            let number = first.saturating_add(at);
            if self.sums.get(number) != Some(&checksum(block)) {
                return Err(format!("block {number} does not have its checksum"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer_of(data: &[u8], piece: usize) -> Vec<u8> {
        let mut sums = BlockSums::default();
        data.chunks(piece).for_each(|piece| sums.update(piece));
        assert_eq!(sums.bytes_seen(), data.len() as u64);
        sums.footer()
    }

    #[test]
    fn the_size_of_the_pieces_does_not_matter() {
        let data: Vec<u8> = (0..=250).cycle().take(3 * BLOCK_BYTES + 17).collect();
        let whole = footer_of(&data, data.len());
        for piece in [1000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1] {
            assert_eq!(footer_of(&data, piece), whole, "{piece}");
        }
        let footer = Footer::parse(&whole, data.len() as u64).unwrap();
        assert_eq!(footer.check(0, &data), Ok(()));
        assert_eq!(footer.check(2, &data[2 * BLOCK_BYTES..]), Ok(()));
        assert!(footer.check(1, &data).is_err());
    }

    #[test]
    fn every_flipped_bit_of_a_footer_is_seen() {
        let data = vec![1; BLOCK_BYTES + 1];
        let good = footer_of(&data, 999);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::parse(&bad, data.len() as u64).is_err(), "bit {bit}");
        }
        assert!(Footer::parse(&good, data.len() as u64 - 1).is_err());
        assert!(Footer::parse(&good[1..], data.len() as u64).is_err());
    }
}
