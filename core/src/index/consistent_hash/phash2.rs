//! Erlang's `erlang:phash2/1` on the terms that RabbitMQ hashes: binaries, the atom `undefined`, and headers as pairs of
//! a type and a value.

use crate::{Table, Value};

/// 2^32 divided by the golden ratio. Each type of term has a multiple of it.
const GOLDEN: u32 = 0x9e37_79b9;

const INTEGER: u32 = GOLDEN;
const NIL: u32 = GOLDEN.wrapping_mul(2);
const ATOM: u32 = GOLDEN.wrapping_mul(3);
const TUPLE: u32 = GOLDEN.wrapping_mul(9);
const NEGATIVE_LARGE: u32 = GOLDEN.wrapping_mul(10);
const POSITIVE_LARGE: u32 = GOLDEN.wrapping_mul(11);
const FLOAT: u32 = GOLDEN.wrapping_mul(12);
const BINARY: u32 = GOLDEN.wrapping_mul(13);

/// What stands for the empty list.
const NIL_VALUE: u32 = 2;

/// The result has 27 bits.
const MASK: u32 = (1 << 27) - 1;

/// A running hash.
pub(super) struct Phash2(u32);

impl Phash2 {
    pub(super) fn of_binary(bytes: &[u8]) -> u32 {
        let mut hash = Phash2(0);
        hash.binary(bytes);
        hash.0 & MASK
    }

    pub(super) fn of_undefined() -> u32 {
        atom(b"undefined") & MASK
    }

    /// A header as RabbitMQ has it, `{longstr, <<"v">>}` for instance.
    pub(super) fn of_typed(value: &Value) -> u32 {
        let mut hash = Phash2(0);
        hash.pair(value);
        hash.0 & MASK
    }

    fn pair(&mut self, value: &Value) {
        self.tuple(2);
        self.atom(type_atom(value));
        self.value(value);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::LongString(bytes) | Value::ByteArray(bytes) => self.binary(bytes),
            Value::I8(n) => self.integer(i128::from(*n)),
            Value::U8(n) => self.integer(i128::from(*n)),
            Value::I16(n) => self.integer(i128::from(*n)),
            Value::U16(n) => self.integer(i128::from(*n)),
            Value::I32(n) => self.integer(i128::from(*n)),
            Value::U32(n) => self.integer(i128::from(*n)),
            Value::I64(n) => self.integer(i128::from(*n)),
            Value::Timestamp(n) => self.integer(i128::from(*n)),
            Value::F32(n) => self.float(f64::from(*n)),
            Value::F64(n) => self.float(*n),
            Value::Decimal { scale, digits } => {
                self.tuple(2);
                self.integer(i128::from(*scale));
                self.integer(i128::from(*digits));
            }
            Value::Bool(true) => self.atom(b"true"),
            Value::Bool(false) => self.atom(b"false"),
            Value::Void => self.atom(b"undefined"),
            Value::Table(table) => self.table(table),
            Value::Array(values) => {
                values.iter().for_each(|value| self.pair(value));
                self.mix(NIL_VALUE, 0, NIL);
            }
        }
    }

    /// A list of `{Name, Type, Value}`.
    fn table(&mut self, table: &Table) {
        for (name, value) in table.iter() {
            self.tuple(3);
            self.binary(name);
            self.atom(type_atom(value));
            self.value(value);
        }
        self.mix(NIL_VALUE, 0, NIL);
    }

    fn tuple(&mut self, arity: u32) {
        self.mix(arity, 0, TUPLE);
    }

    fn atom(&mut self, name: &[u8]) {
        self.mix(atom(name), 0, ATOM);
    }

    /// Integers of 28 bits with their sign are small; a negative one is mixed twice.
    fn integer(&mut self, n: i128) {
        if (-(1 << 27)..1 << 27).contains(&n) {
            if n < 0 {
                self.mix(-n as u32, 0, INTEGER);
            }
            self.mix(n as u32, 0, INTEGER);
        } else {
            // INVARIANT: AMQP's integers have at most 64 bits, so one step takes the whole magnitude.
            let magnitude = n.unsigned_abs() as u64;
            let constant = if n < 0 { NEGATIVE_LARGE } else { POSITIVE_LARGE };
            self.mix(magnitude as u32, (magnitude >> 32) as u32, constant);
        }
    }

    fn float(&mut self, n: f64) {
        // There is one zero.
        let bits = (n + 0.0).to_bits();
        self.mix((bits >> 32) as u32, bits as u32, FLOAT);
    }

    fn binary(&mut self, bytes: &[u8]) {
        let start = BINARY.wrapping_add(self.0);
        self.0 = if bytes.is_empty() { start } else { blocks(bytes, start) };
    }

    fn mix(&mut self, a: u32, b: u32, constant: u32) {
        self.0 = mix(constant.wrapping_add(a), constant.wrapping_add(b), self.0).2;
    }
}

/// RabbitMQ's name of a field type.
fn type_atom(value: &Value) -> &'static [u8] {
    match value {
        Value::LongString(_) => b"longstr",
        Value::ByteArray(_) => b"binary",
        Value::I8(_) => b"byte",
        Value::U8(_) => b"unsignedbyte",
        Value::I16(_) => b"short",
        Value::U16(_) => b"unsignedshort",
        Value::I32(_) => b"signedint",
        Value::U32(_) => b"unsignedint",
        Value::I64(_) => b"long",
        Value::Timestamp(_) => b"timestamp",
        Value::F32(_) => b"float",
        Value::F64(_) => b"double",
        Value::Decimal { .. } => b"decimal",
        Value::Bool(_) => b"bool",
        Value::Void => b"void",
        Value::Table(_) => b"table",
        Value::Array(_) => b"array",
    }
}

/// The hash of an atom's name: Weinberger's.
fn atom(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(*byte));
        let high = hash & 0xf000_0000;
        hash ^ (high >> 24) ^ high
    })
}

/// Bob Jenkins' hash of 1996 over blocks of twelve bytes.
fn blocks(bytes: &[u8], start: u32) -> u32 {
    let (mut a, mut b, mut c) = (GOLDEN, GOLDEN, start);
    let mut whole = bytes.chunks_exact(12);
    for block in &mut whole {
        (a, b, c) = mix(
            a.wrapping_add(word(block, 0)),
            b.wrapping_add(word(block, 4)),
            c.wrapping_add(word(block, 8)),
        );
    }
    let rest = whole.remainder();
    // The lowest byte of the last word holds the length.
    let last = (word(rest, 8) << 8).wrapping_add(bytes.len() as u32);
    mix(a.wrapping_add(word(rest, 0)), b.wrapping_add(word(rest, 4)), c.wrapping_add(last)).2
}

/// Four bytes from `at`, little-endian; those that are not there are zero.
fn word(bytes: &[u8], at: usize) -> u32 {
    let end = bytes.len().min(at + 4);
    let bytes = bytes.get(at..end).unwrap_or_default();
    bytes.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte))
}

fn mix(mut a: u32, mut b: u32, mut c: u32) -> (u32, u32, u32) {
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 13);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 8);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 13);
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 12);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 16);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 5);
    a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> 3);
    b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << 10);
    c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> 15);
    (a, b, c)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// What `erlang:phash2/1` of OTP 25 says of the terms that RabbitMQ 3.10 makes of these values.
    #[test]
    fn headers_as_erlang_hashes_them() {
        let text = |text: &str| Value::from(text);
        let inner = Table::from_iter([("i", Value::Void)]);
        let table = Table::from_iter([("k", text("v")), ("n", Value::I32(-5)), ("t", inner.into())]);
        let array = vec![text("a"), Value::Array(vec![Value::Bool(true)]), Value::I32(7)];
        for (value, expected) in [
            (text("v"), 83_007_481),
            (text(""), 116_351_706),
            (text("twelve bytes"), 4_796_039),
            (text("thirteen byte"), 78_161_714),
            (Value::LongString([255, 0, 1][..].into()), 5_711_724),
            (Value::ByteArray("1".into()), 48_744_057),
            (Value::I8(-128), 93_360_801),
            (Value::I8(-1), 63_183_907),
            (Value::I8(0), 116_464_816),
            (Value::U8(255), 128_117_100),
            (Value::I16(-32_768), 118_438_055),
            (Value::U16(65_535), 74_347_635),
            (Value::I32(i32::MIN), 18_235_318),
            (Value::I32(-134_217_728), 65_405_468),
            (Value::I32(-134_217_729), 11_977_661),
            (Value::I32(134_217_727), 17_240_753),
            (Value::I32(134_217_728), 127_254_635),
            (Value::U32(u32::MAX), 24_982_162),
            (Value::I64(-1), 45_337_174),
            (Value::I64(i64::MAX), 120_433_834),
            (Value::I64(i64::MIN), 112_631_110),
            (Value::I64(1 << 60), 106_028_369),
            (Value::I64(1 << 59), 50_235_308),
            (Value::Timestamp(1_700_000_000), 59_280_699),
            (Value::Timestamp(u64::MAX), 132_064_098),
            (Value::F32(1.5), 89_550_739),
            (Value::F32(0.1), 73_266_083),
            (Value::F64(0.1), 41_087_522),
            (Value::F64(-0.0), 28_702_447),
            (Value::F64(-1e300), 119_614_630),
            (Value::F64(3.0), 65_201_844),
            (Value::Decimal { scale: 2, digits: 314 }, 113_508_173),
            (Value::Decimal { scale: 255, digits: u32::MAX }, 7_679_076),
            (Value::Bool(true), 32_030_443),
            (Value::Bool(false), 54_145_719),
            (Value::Void, 27_077_197),
            (Value::Table(Table::new()), 80_606_520),
            (Value::Table(table), 93_909_116),
            (Value::Array(vec![]), 86_211_673),
            (Value::Array(array), 123_230_231),
        ] {
            assert_eq!(Phash2::of_typed(&value), expected, "{value:?}");
        }
    }

    #[test]
    fn other_terms_as_erlang_hashes_them() {
        assert_eq!(Phash2::of_undefined(), 45_914_356);
        for (bytes, expected) in [
            (&b""[..], 13_708_901),
            (b"a", 112_802_447),
            (b"routing.key.of.some.length", 26_407_445),
            (&[255, 254], 129_772_081),
        ] {
            assert_eq!(Phash2::of_binary(bytes), expected, "{bytes:?}");
        }
    }
}
