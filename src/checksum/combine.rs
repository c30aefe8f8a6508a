//! CRCs of parts become that of the whole, without the bytes.
//!
//! A CRC is a remainder of polynomials over two values, so that bytes behind a part multiply its
//! CRC by a power of `x` that depends on their number alone. An upload's parts are mostly of one
//! length, so that power is computed once, and what four bits each multiply by it: a part costs
//! 16 look-ups, where a library's way through matrices costs 60 µs, which for 10,000 parts was more
//! than all else of their completion.

use super::Algorithm;

/// How a CRC is computed: the polynomial, with its highest power in the lowest bit, and its bits.
#[derive(Debug, Clone, Copy)]
struct Field {
    polynomial: u64,
    bits: u32,
}

/// The CRC of a whole that grows part by part.
#[derive(Debug)]
pub(super) struct Combined {
    field: Field,
    value: Option<u64>,
    /// The length of the last part in bytes, and what it multiplied by.
    shift: Option<(u64, Multiples)>,
}

/// A polynomial times each value of each four bits of another: those of the lowest bits first.
#[derive(Debug, Clone, Copy)]
struct Multiples([[u64; 16]; 16]);

impl Combined {
    /// No part yet. None where the algorithm is no CRC.
    pub(super) const fn new(algorithm: Algorithm) -> Option<Self> {
        let (polynomial, bits) = match algorithm {
            Algorithm::Crc32 => (0xedb8_8320, 32),
            Algorithm::Crc32c => (0x82f6_3b78, 32),
            Algorithm::Crc64Nvme => (0x9a6c_9329_ac4b_c9b5, 64),
            Algorithm::Crc64Ecma => (0xc96c_5795_d787_0f42, 64),
            _ => return None,
        };
        Some(Self {
            field: Field { polynomial, bits },
            value: None,
            shift: None,
        })
    }

    /// Appends a part of `len` bytes, whose CRC is `crc`.
    pub(super) fn push(&mut self, crc: u64, len: u64) {
        let Some(before) = self.value else {
            self.value = Some(crc);
            return;
        };
        let known = self.shift.take_if(|(of, _multiples)| *of == len);
        let (_len, multiples) = self
            .shift
            .insert(known.unwrap_or_else(|| (len, self.field.multiples(self.field.shift(len)))));
        self.value = Some(multiples.times(before) ^ crc);
    }

    /// The whole's CRC; none where there was no part.
    pub(super) const fn value(&self) -> Option<u64> {
        self.value
    }
}

impl Field {
    /// The polynomial 1.
    const fn one(self) -> u64 {
        1 << (self.bits - 1)
    }

    /// `a` times `b`.
    const fn product(self, mut a: u64, mut b: u64) -> u64 {
        let mut sum = 0;
        while a != 0 {
            if a & self.one() != 0 {
                sum ^= b;
            }
            a = (a << 1) & (u64::MAX >> (64 - self.bits));
            b = self.times_x(b);
        }
        sum
    }

    /// All that [`Multiples::times`] looks up of `by`.
    fn multiples(self, mut by: u64) -> Multiples {
        let mut tables = [[0; 16]; 16];
        for bit in (0..self.bits).rev() {
            let table = tables.get_mut(bit as usize / 4);
            for (bits, multiple) in (0_u32..).zip(table.into_iter().flatten()) {
                if bits & (1 << (bit % 4)) != 0 {
                    *multiple ^= by;
                }
            }
            by = self.times_x(by);
        }
        Multiples(tables)
    }

    /// `a` times `x`.
    const fn times_x(self, a: u64) -> u64 {
        (a >> 1) ^ (self.polynomial & (a & 1).wrapping_neg())
    }

    /// What so many bytes multiply by: `x` to the power of their bits.
    const fn shift(self, mut bytes: u64) -> u64 {
        let mut power = self.one() >> 8; // one byte's
        let mut shift = self.one();
        while bytes != 0 {
            if bytes & 1 != 0 {
                shift = self.product(shift, power);
            }
            power = self.product(power, power);
            bytes >>= 1;
        }
        shift
    }
}

impl Multiples {
    fn times(&self, mut value: u64) -> u64 {
        let mut sum = 0;
        for table in &self.0 {
            let multiple = table.get((value & 0xF) as usize);
            sum ^= multiple.copied().unwrap_or_default();
            value >>= 4;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use crc_fast::CrcAlgorithm;

    use super::*;

    #[test]
    fn crcs_are_combined_as_a_library_does_it() {
        let lens = [0, 1, 5, 5, 8 << 20, 8 << 20, (5 << 30) + 3, 1];
        for algorithm in Algorithm::ALL.into_iter().chain([Algorithm::Crc64Ecma]) {
            let Some(mut ours) = Combined::new(algorithm) else {
                assert!(!algorithm.is_crc(), "{algorithm:?}");
                continue;
            };
            let crc = match algorithm {
                Algorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
                Algorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
                Algorithm::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
                _ => CrcAlgorithm::Crc64Xz,
            };
            let mask = u64::MAX >> (64 - 8 * algorithm.digest_bytes());
            let mut whole = None;
            for (at, len) in lens.into_iter().enumerate() {
                let part = 0x9e37_79b9_7f4a_7c15_u64.rotate_left(u32::try_from(at).unwrap()) & mask;
                ours.push(part, len);
                whole = Some(match whole {
                    None => part,
                    Some(before) => crc_fast::checksum_combine(crc, before, part, len),
                });
                assert_eq!(ours.value(), whole, "{algorithm:?} {len}");
            }
        }
    }
}
