//! Kombu's binding tables on their way in.

use keyrail_core::{
    ByteString,
    kombu::{BindingTable, QuarantinedRow},
};
use serde::Serialize;

use crate::{
    error::Failure,
    fields::{Fields, Read, bytes, wrong},
    node::Node,
};

/// The rows of one exchange, as `SMEMBERS` answers them.
pub(crate) fn read(node: &Node) -> Result<BindingTable, Failure> {
    let fields = Fields::of(node)?;
    let kind = fields.maybe_text("kind")?.map(|kind| kind.parse()).transpose()?;
    let rows = fields.list("rows")?.iter().map(|row| bytes(row).ok_or_else(|| wrong("rows")));
    let rows: Vec<ByteString> = rows.collect::<Read<_>>()?;
    Ok(BindingTable::read(&fields.text("exchange")?, kind, rows, &fields.layout()?)?)
}

/// A row in quarantine as JavaScript sees it.
#[derive(Serialize)]
pub(crate) struct Quarantined {
    /// Bytes that are not printable as `\x06`.
    row: String,
    code: &'static str,
    message: String,
}

impl From<&QuarantinedRow> for Quarantined {
    fn from(row: &QuarantinedRow) -> Self {
        let message = row.error.to_string();
        Quarantined { row: row.row.escape_ascii().to_string(), code: row.error.code(), message }
    }
}
