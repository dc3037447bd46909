//! Data on its way to JavaScript, as bytes that `js/decode.ts` reads: plain objects, as `JSON.parse` would make them.
//!
//! One octet says what follows, as [`node`](crate::node) reads it. An object of JavaScript would take a call out of the
//! module for each of its fields.

use serde::{
    Serialize, Serializer,
    ser::{
        Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct,
    },
};
use wasm_bindgen::JsValue;

use crate::node::{MAX_SAFE, Problem, tag};

pub(crate) fn write(value: &impl Serialize) -> Result<Vec<u8>, JsValue> {
    let mut writer = Writer { bytes: Vec::new() };
    value.serialize(&mut writer)?;
    Ok(writer.bytes)
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn text(&mut self, text: &str) {
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    fn number(&mut self, number: f64) {
        self.bytes.push(tag::NUMBER);
        self.bytes.extend(number.to_bits().to_le_bytes());
    }

    /// A list or an object; how much it has is written down when it is known.
    fn begin(&mut self, tag: u8) -> Counted<'_> {
        self.bytes.push(tag);
        let place = self.bytes.len();
        self.bytes.extend(0_u32.to_le_bytes());
        Counted { writer: self, place, count: 0 }
    }

    /// The start of an object with one field, whose value is next.
    fn variant(&mut self, name: &str) {
        self.bytes.push(tag::MAP);
        self.bytes.extend(1_u32.to_le_bytes());
        self.text(name);
    }
}

/// What is inside a list or an object.
struct Counted<'a> {
    writer: &'a mut Writer,
    /// Where the count stands.
    place: usize,
    count: u32,
}

impl Counted<'_> {
    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Problem> {
        self.count += 1;
        value.serialize(&mut *self.writer)
    }

    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Problem> {
        self.writer.text(name);
        self.item(value)
    }

    fn finish(self) -> Result<(), Problem> {
        self.writer.bytes[self.place..self.place + 4].copy_from_slice(&self.count.to_le_bytes());
        Ok(())
    }
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Problem;
    type SerializeSeq = Counted<'a>;
    type SerializeTuple = Counted<'a>;
    type SerializeTupleStruct = Counted<'a>;
    type SerializeTupleVariant = Impossible<(), Problem>;
    type SerializeMap = Counted<'a>;
    type SerializeStruct = Counted<'a>;
    type SerializeStructVariant = Counted<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Problem> {
        self.bytes.push(if value { tag::TRUE } else { tag::FALSE });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Problem> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Problem> {
        if value.unsigned_abs() > MAX_SAFE as u64 {
            return Err(Problem(format!("{value} has more digits than a number of JavaScript").into()));
        }
        self.number(value as f64);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Problem> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Problem> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Problem> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Problem> {
        // Too much in both forms where it has more than 63 bits.
        self.serialize_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn serialize_f32(self, value: f32) -> Result<(), Problem> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Problem> {
        self.number(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Problem> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Problem> {
        self.bytes.push(tag::TEXT);
        self.text(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Problem> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Problem> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Problem> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Problem> {
        self.bytes.push(tag::NULL);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Problem> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Problem> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Problem> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Problem> {
        self.variant(variant);
        value.serialize(self)
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Counted<'a>, Problem> {
        Ok(self.begin(tag::LIST))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Counted<'a>, Problem> {
        Ok(self.begin(tag::LIST))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<Counted<'a>, Problem> {
        Ok(self.begin(tag::LIST))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant, Problem> {
        Err(Problem(["`", variant, "` has no form in JavaScript"].concat().into()))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Counted<'a>, Problem> {
        Ok(self.begin(tag::MAP))
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Counted<'a>, Problem> {
        Ok(self.begin(tag::MAP))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Counted<'a>, Problem> {
        self.variant(variant);
        Ok(self.begin(tag::MAP))
    }
}

impl SerializeSeq for Counted<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.item(value)
    }

    fn end(self) -> Result<(), Problem> {
        self.finish()
    }
}

impl SerializeTuple for Counted<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.item(value)
    }

    fn end(self) -> Result<(), Problem> {
        self.finish()
    }
}

impl SerializeTupleStruct for Counted<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.item(value)
    }

    fn end(self) -> Result<(), Problem> {
        self.finish()
    }
}

impl SerializeMap for Counted<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Problem> {
        let place = self.writer.bytes.len();
        name.serialize(&mut *self.writer)?;
        // All names are text, so none says so.
        if self.writer.bytes.get(place) != Some(&tag::TEXT) {
            return Err(Problem("a name is no text".into()));
        }
        self.writer.bytes.remove(place);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Problem> {
        self.item(value)
    }

    fn end(self) -> Result<(), Problem> {
        self.finish()
    }
}

impl SerializeStruct for Counted<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Problem> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Problem> {
        self.finish()
    }
}

impl SerializeStructVariant for Counted<'_> {
    type Ok = ();
    type Error = Problem;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Problem> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Problem> {
        self.finish()
    }
}
