//! Kombu's binding tables on their way in.

use keyrail_core::{
    ByteString, ExchangeKind,
    kombu::{BindingTable, Layout, QuarantinedRow},
};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use crate::{error::Failure, value::from_js};

/// The rows of one exchange, as `SMEMBERS` answers them.
#[derive(Deserialize)]
pub(crate) struct Rows {
    exchange: Box<str>,
    kind: Option<ExchangeKind>,
    rows: Vec<ByteString>,
    #[serde(default)]
    layout: Layout,
}

impl Rows {
    pub(crate) fn read(rows: JsValue) -> Result<BindingTable, JsValue> {
        let Rows { exchange, kind, rows, layout } = from_js(rows)?;
        Ok(BindingTable::read(&exchange, kind, rows, &layout).map_err(Failure::from)?)
    }
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
