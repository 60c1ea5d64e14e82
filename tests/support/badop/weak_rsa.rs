//! RS256 with a key of 1024 bits, which cryptographic libraries rightly refuse to use.
//!
//! Must never sign anything but tokens that have to be refused: the private key stands here.

use crate::support::codec;

const MODULUS: &str = "\
    f2d1e89a791398b5eefbe6d1b44857388d8a418dff1f7fa89e94141b13a15875\
    4198288dcee2dc1f8aecbfe49756a20fd327b583898b1fd6f0b10acebf7a7c94\
    20ee1ff46fa62fa40ef10e66e36792389f017c14aea68fd31a848eb21b724d95\
    820afc8d244bd5c5e4c1f2d1a1c7f511f70430368c88caeb4672964139c34ff9";
const EXPONENT: &str = "\
    d4841e7dc3e600cb8a43f17a2bbcfc8944677284627b20f16508d8a7f2004e39\
    21959838b48f1c7486d43a0648e5cba4e9fb6103a4879cf0336bdfb79f220690\
    b1d9dda5ce638a045d16ae9f769c154ca9ee57ad6864af851b78753586c00870\
    af2dcf55f86c58c542c6f1450ab830b6e906f23e68690eddd11d8de602d77e01";
const LIMBS: usize = 16;

type Number = [u64; LIMBS];

/// The modulus, big-endian.
pub(super) fn modulus() -> Vec<u8> {
    MODULUS
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// PKCS #1 v1.5 with SHA-256 (RFC 8017, section 8.2).
pub(super) fn sign(message: &[u8]) -> Vec<u8> {
    let prefix = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    let mut block = vec![0, 1];
    block.resize(LIMBS * 8 - prefix.len() - 33, 0xff);
    block.push(0);
    block.extend_from_slice(&prefix);
    block.extend_from_slice(&codec::sha256(message));
    let text = codec::hex(&block);
    let (base, modulus) = (number(&text), number(MODULUS));
    let mut result = number(&format!("{:0>256}", 1));
    for bit in EXPONENT.bytes().flat_map(|digit| {
        let digit = char::from(digit).to_digit(16).unwrap();
        (0..4).rev().map(move |at| digit >> at & 1)
    }) {
        result = multiply(&result, &result, &modulus);
        if bit == 1 {
            result = multiply(&result, &base, &modulus);
        }
    }
    result.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect()
}

/// Little-endian limbs of 256 hex digits.
fn number(hex: &str) -> Number {
    std::array::from_fn(|at| {
        let from = (LIMBS - 1 - at) * 16;
        u64::from_str_radix(&hex[from..from + 16], 16).unwrap()
    })
}

/// `a * b mod m`, a limb of `b` at a time. The modulus has its top bit set, so one estimate per limb suffices.
fn multiply(a: &Number, b: &Number, m: &Number) -> Number {
    let mut sum = [0_u64; LIMBS + 1];
    for &limb in b.iter().rev() {
        // sum = sum * 2^64 + a * limb: sum < m, so one more limb holds it, and a carry the rest.
        let mut wide = [0_u64; LIMBS + 2];
        wide[1..=LIMBS].copy_from_slice(&sum[..LIMBS]);
        add_product(&mut wide, a, limb);
        reduce(&mut wide, m);
        sum[..LIMBS].copy_from_slice(&wide[..LIMBS]);
    }
    std::array::from_fn(|at| sum[at])
}

fn add_product(wide: &mut [u64; LIMBS + 2], a: &Number, limb: u64) {
    let mut carry = 0_u128;
    for (at, part) in wide.iter_mut().enumerate() {
        let term = a.get(at).map_or(0, |&part| u128::from(part) * u128::from(limb));
        let total = u128::from(*part) + term + carry;
        *part = total as u64;
        carry = total >> 64;
    }
}

/// Takes multiples of `m` off until less than `m` is left.
fn reduce(wide: &mut [u64; LIMBS + 2], m: &Number) {
    loop {
        let top = u128::from(wide[LIMBS]) << 64 | u128::from(wide[LIMBS - 1]);
        let estimate = match wide[LIMBS + 1] {
            // Never too much: a whole limb above the modulus is left.
            1.. => u64::MAX,
            0 => u64::try_from(top / (u128::from(m[LIMBS - 1]) + 1)).unwrap_or(u64::MAX),
        };
        if estimate > 0 {
            subtract_product(wide, m, estimate);
        } else if at_least(wide, m) {
            subtract_product(wide, m, 1);
        } else {
            return;
        }
    }
}

fn subtract_product(wide: &mut [u64; LIMBS + 2], m: &Number, limb: u64) {
    let (mut carry, mut borrow) = (0_u128, false);
    for (at, part) in wide.iter_mut().enumerate() {
        let product = m.get(at).map_or(0, |&part| u128::from(part) * u128::from(limb)) + carry;
        carry = product >> 64;
        let (less, first) = part.overflowing_sub(product as u64);
        let (less, second) = less.overflowing_sub(u64::from(borrow));
        *part = less;
        borrow = first || second;
    }
}

fn at_least(wide: &[u64; LIMBS + 2], m: &Number) -> bool {
    wide[..LIMBS].iter().rev().ge(m.iter().rev())
}
